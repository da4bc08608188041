// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/tmem/cache: enable, disable, btrfs_evictions; and a folder for each cached disk, one
 * value a file. The names are documented in README.md and stay.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>
#include "cache.h"

static struct kobject *folder;

static struct cache_disk *disk_of(struct kobject *kobj)
{
	return container_of(kobj, struct cache_disk, kobj);
}

static ssize_t counter_show(struct kobject *kobj, struct kobj_attribute *attr, char *text);

struct counter {
	struct kobj_attribute attr;
	size_t offset; /* in struct cache_counters */
};

#define COUNTER(name)                                                                              \
	{                                                                                          \
		.attr = __ATTR(name, 0444, counter_show, NULL),                                    \
		.offset = offsetof(struct cache_counters, name),                                   \
	}

static struct counter counters[] = {
	COUNTER(puts),
	COUNTER(puts_staged),
	COUNTER(puts_stale),
	COUNTER(puts_no_room),
	COUNTER(puts_refused),
	COUNTER(puts_over_limit),
	COUNTER(evictions_unsupported),
	COUNTER(hits),
	COUNTER(misses),
	COUNTER(stale_hits),
	COUNTER(gets_no_room),
	COUNTER(reads),
	COUNTER(reads_full),
	COUNTER(reads_partial),
	COUNTER(reads_other),
	COUNTER(writes),
	COUNTER(writes_traced),
	COUNTER(writes_missed),
	COUNTER(writes_deferred),
	COUNTER(write_errors),
	COUNTER(invalidations),
	COUNTER(flushes_no_room),
	COUNTER(flushes),
	COUNTER(records_read),
	COUNTER(records_written),
	COUNTER(spot_checks),
	COUNTER(spot_unclear),
	COUNTER(spot_mismatches),
};
static_assert(ARRAY_SIZE(counters) * sizeof(u64) == sizeof(struct cache_counters));

static ssize_t counter_show(struct kobject *kobj, struct kobj_attribute *attr, char *text)
{
	size_t offset = container_of(attr, struct counter, attr)->offset;
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += *(u64 *)((char *)per_cpu_ptr(disk_of(kobj)->counters, cpu) + offset);
	return sysfs_emit(text, "%llu\n", sum);
}

static ssize_t state_show(struct kobject *kobj, struct kobj_attribute *attr, char *text)
{
	static const char *const names[CACHE_STATES] = { "starting", "on", "flushing", "doubt",
							 "off" };

	return sysfs_emit(text, "%s\n", names[READ_ONCE(disk_of(kobj)->state)]);
}

static ssize_t reason_show(struct kobject *kobj, struct kobj_attribute *attr, char *text)
{
	return sysfs_emit(text, "%s\n", disk_of(kobj)->reason);
}

static ssize_t front_end_show(struct kobject *kobj, struct kobj_attribute *attr, char *text)
{
	return sysfs_emit(text, "%s\n", disk_of(kobj)->is_target ? "target" : "hook");
}

static ssize_t forced_show(struct kobject *kobj, struct kobj_attribute *attr, char *text)
{
	return sysfs_emit(text, "%d\n", disk_of(kobj)->forced);
}

/* Pages that the pool is thought to hold. */
static ssize_t pages_show(struct kobject *kobj, struct kobj_attribute *attr, char *text)
{
	const struct cache_disk *disk = disk_of(kobj);
	u64 pages = 0, block;

	for (block = 0; block < disk->blocks; block += CACHE_OBJECT_BLOCKS) {
		pages += bitmap_weight(disk->present + BIT_WORD(block), CACHE_OBJECT_BLOCKS);
		cond_resched();
	}
	return sysfs_emit(text, "%llu\n", pages);
}

static struct kobj_attribute state_attr = __ATTR_RO(state);
static struct kobj_attribute reason_attr = __ATTR_RO(reason);
static struct kobj_attribute front_end_attr = __ATTR_RO(front_end);
static struct kobj_attribute forced_attr = __ATTR_RO(forced);
static struct kobj_attribute pages_attr = __ATTR_RO(pages);

static struct attribute *plain[] = {
	&state_attr.attr, &reason_attr.attr, &front_end_attr.attr, &forced_attr.attr,
	&pages_attr.attr,
};
static struct attribute *disk_attrs[ARRAY_SIZE(plain) + ARRAY_SIZE(counters) + 1];
ATTRIBUTE_GROUPS(disk);

static void released(struct kobject *kobj)
{
	complete(&disk_of(kobj)->kobj_released);
}

static const struct kobj_type cache_type = {
	.release = released,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = disk_groups,
};

int cache_sysfs_add(struct cache_disk *disk)
{
	int err;

	init_completion(&disk->kobj_released);
	err = kobject_init_and_add(&disk->kobj, &cache_type, folder, "%s",
				   disk->gendisk->disk_name);
	if (err)
		cache_sysfs_remove(disk);
	return err;
}

void cache_sysfs_remove(struct cache_disk *disk)
{
	kobject_put(&disk->kobj);
	wait_for_completion(&disk->kobj_released);
}

static ssize_t command(const char *text, size_t length, int (*run)(const char *))
{
	char *words = kstrndup(text, length, GFP_KERNEL);
	int err;

	if (!words)
		return -ENOMEM;
	err = run(strim(words));
	kfree(words);
	return err ? err : length;
}

static ssize_t enable_store(struct kobject *kobj, struct kobj_attribute *attr, const char *text,
			    size_t length)
{
	return command(text, length, cache_enable);
}

static ssize_t disable_store(struct kobject *kobj, struct kobj_attribute *attr, const char *text,
			     size_t length)
{
	return command(text, length, cache_disable);
}

static ssize_t btrfs_evictions_show(struct kobject *kobj, struct kobj_attribute *attr, char *text)
{
	return sysfs_emit(text, "%ld\n", atomic_long_read(&cache_btrfs_evictions));
}

static struct kobj_attribute enable_attr = __ATTR_WO(enable);
static struct kobj_attribute disable_attr = __ATTR_WO(disable);
static struct kobj_attribute btrfs_evictions_attr = __ATTR_RO(btrfs_evictions);

static const struct attribute *const attrs[] = { &enable_attr.attr, &disable_attr.attr,
						 &btrfs_evictions_attr.attr, NULL };

static void list_attributes(void)
{
	unsigned int i;

	memcpy(disk_attrs, plain, sizeof(plain));
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		sysfs_attr_init(&counters[i].attr.attr);
		disk_attrs[ARRAY_SIZE(plain) + i] = &counters[i].attr.attr;
	}
}

int cache_sysfs_init(void)
{
	int err;

	list_attributes();
	folder = kobject_create_and_add("cache", tmem_kobj);
	if (!folder)
		return -ENOMEM;
	err = sysfs_create_files(folder, attrs);
	if (err)
		kobject_put(folder);
	return err;
}

void cache_sysfs_exit(void)
{
	sysfs_remove_files(folder, attrs);
	kobject_put(folder);
}
