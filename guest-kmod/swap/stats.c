// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kernel/tmem/swap: one value a file, described in README.md. */
#include <linux/sysfs.h>
#include "swap.h"

static const char *const names[SWAP_STATS] = {
	[SWAP_WRITES] = "writes",
	[SWAP_WRITES_POOL] = "writes_pool",
	[SWAP_WRITES_EARLY] = "writes_early",
	[SWAP_WRITES_DISK] = "writes_disk",
	[SWAP_WRITE_ERRORS] = "write_errors",
	[SWAP_READS] = "reads",
	[SWAP_READS_POOL] = "reads_pool",
	[SWAP_READS_STAGED] = "reads_staged",
	[SWAP_READS_DISK] = "reads_disk",
	[SWAP_READS_EMPTY] = "reads_empty",
	[SWAP_READ_ERRORS] = "read_errors",
	[SWAP_LOST] = "lost",
	[SWAP_FREES] = "frees",
	[SWAP_FLUSHES] = "flushes",
	[SWAP_EVACUATED] = "evacuated",
	[SWAP_POOL_PAGES] = "pool_pages",
	[SWAP_DISK_PAGES] = "disk_pages",
	[SWAP_HELD] = "held_pages",
};

static struct kobj_attribute attributes[SWAP_STATS];
static struct attribute *list[SWAP_STATS + 1];
static const struct attribute_group group = { .name = "swap", .attrs = list };

static ssize_t show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lld\n", (s64)atomic64_read(&swap.stats[attr - attributes]));
}

int swap_stats_init(void)
{
	int i;

	for (i = 0; i < SWAP_STATS; i++) {
		sysfs_attr_init(&attributes[i].attr);
		attributes[i].attr.name = names[i];
		attributes[i].attr.mode = 0444;
		attributes[i].show = show;
		list[i] = &attributes[i].attr;
	}
	return sysfs_create_group(tmem_kobj, &group);
}

void swap_stats_exit(void)
{
	sysfs_remove_group(tmem_kobj, &group);
}
