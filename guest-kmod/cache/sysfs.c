// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/tmem/cache: enable, disable, btrfs_evictions; and a folder for each cached disk, one
 * value a file. The names are documented in guest-kmod/README.md and stay.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>
#include "cache.h"

static struct kobject *folder;

static struct cache_disk *disk_of(struct kobject *kobj)
{
	return container_of(kobj, struct cache_disk, kobj);
}

static ssize_t counter_show(struct kobject *kobj, char *text, size_t offset)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += *(u64 *)((char *)per_cpu_ptr(disk_of(kobj)->counters, cpu) + offset);
	return sysfs_emit(text, "%llu\n", sum);
}

#define X(name)                                                                                    \
	static ssize_t name##_show(struct kobject *kobj, struct kobj_attribute *attr, char *text)  \
	{                                                                                          \
		return counter_show(kobj, text, offsetof(struct cache_counters, name));            \
	}                                                                                          \
	static struct kobj_attribute name##_attr = __ATTR_RO(name);
CACHE_COUNTERS(X)
#undef X

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

#define X(name) &name##_attr.attr,
static struct attribute *disk_attrs[] = {
	&state_attr.attr, &reason_attr.attr, &front_end_attr.attr, &forced_attr.attr,
	&pages_attr.attr, CACHE_COUNTERS(X) NULL
};
#undef X
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

int cache_sysfs_init(void)
{
	int err;

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
