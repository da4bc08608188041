// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kernel/tmem/frontswap: one value a file, described in README.md. */
#include <linux/sysfs.h>
#include "frontswap.h"

static const char *const names[FRONTSWAP_STATS] = {
	[FRONTSWAP_STORES] = "stores",
	[FRONTSWAP_STORES_POOL] = "stores_pool",
	[FRONTSWAP_STORES_REFUSED] = "stores_refused",
	[FRONTSWAP_STORES_FAILED] = "stores_failed",
	[FRONTSWAP_STORES_PASSED] = "stores_passed",
	[FRONTSWAP_LOADS] = "loads",
	[FRONTSWAP_LOADS_POOL] = "loads_pool",
	[FRONTSWAP_LOADS_FAILED] = "load_errors",
	[FRONTSWAP_LOADS_GUARDED] = "reads_guarded",
	[FRONTSWAP_LOST] = "lost",
	[FRONTSWAP_FREES] = "frees",
	[FRONTSWAP_FLUSHES] = "flushes",
	[FRONTSWAP_POOL_PAGES] = "pool_pages",
};

static struct kobj_attribute attributes[FRONTSWAP_STATS];
static struct attribute *list[FRONTSWAP_STATS + 1];
static const struct attribute_group group = { .name = "frontswap", .attrs = list };

static ssize_t show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lld\n", (s64)atomic64_read(&frontswap.stats[attr - attributes]));
}

int frontswap_stats_init(void)
{
	int i;

	for (i = 0; i < FRONTSWAP_STATS; i++) {
		sysfs_attr_init(&attributes[i].attr);
		attributes[i].attr.name = names[i];
		attributes[i].attr.mode = 0444;
		attributes[i].show = show;
		list[i] = &attributes[i].attr;
	}
	return sysfs_create_group(tmem_kobj, &group);
}

void frontswap_stats_exit(void)
{
	sysfs_remove_group(tmem_kobj, &group);
}
