// SPDX-License-Identifier: GPL-2.0-only
/*
 * tmem_cache: load, parameters, and what the core reports about the pool.
 *
 * The module can be removed only while no disk was ever enabled: hooks and probes stay.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/suspend.h>
#include <xen/xen.h>
#include <xen/xen-ops.h>
#include "cache.h"

struct tmem_pool *cache_pool;
struct workqueue_struct *cache_queue;

unsigned int cache_spot_percent;
module_param_named(spot_check_percent, cache_spot_percent, uint, 0644);
MODULE_PARM_DESC(spot_check_percent, "compare so many percent of the hits with the disk (0)");

unsigned int cache_folio_pages = 64;
module_param_named(folio_pages, cache_folio_pages, uint, 0644);
MODULE_PARM_DESC(folio_pages, "pages of a large folio that are put at most, with interrupts off (64)");

unsigned int cache_index_limit_kib = 65536;
module_param_named(index_limit_kib, cache_index_limit_kib, uint, 0644);
MODULE_PARM_DESC(index_limit_kib, "refuse disks whose index is larger; 32 KiB per GiB of disk (65536)");

unsigned int cache_stage_pages;
module_param_named(stage_pages, cache_stage_pages, uint, 0444);
MODULE_PARM_DESC(stage_pages, "evicted pages that can wait for room (0: 1/128 of memory, 64 .. 1024)");

static char *disks = "";
module_param(disks, charp, 0444);
MODULE_PARM_DESC(disks, "disks to cache from the start, as in sysfs: NAME[:force],...");

static void pool_up(void *ctx, bool kept)
{
	if (!kept)
		cache_disks_forget();
}

/* Atomic. */
static void pool_dropped(void *ctx, u8 op, const struct tmem_key *key, int error)
{
	struct cache_disk *disk;

	if (op != TMEM_OP_PUT)
		return;
	disk = cache_disk_get_numbered(key->oid[0] % CACHE_NUMBERS);
	if (!disk)
		return;
	if (disk->id == key->oid[0]) {
		cache_count(disk, puts_refused, 1);
		cache_index_clear(disk, key);
	}
	percpu_ref_put(&disk->users);
}

/* Atomic. */
static void pool_room(void *ctx)
{
	cache_stage_run(UINT_MAX);
}

static const struct tmem_pool_ops pool_ops = {
	.up = pool_up,
	.dropped = pool_dropped,
	.room = pool_room,
};

static int resumed(struct notifier_block *self, unsigned long event, void *data)
{
	cache_disks_flush("resume");
	return NOTIFY_OK;
}

static int slept(struct notifier_block *self, unsigned long event, void *data)
{
	if (event == PM_POST_SUSPEND || event == PM_POST_HIBERNATION || event == PM_POST_RESTORE)
		cache_disks_flush("resume");
	return NOTIFY_OK;
}

static struct notifier_block sleep_notifier = { .notifier_call = slept };
static struct notifier_block resume_notifier = { .notifier_call = resumed };

static int open_pool(void)
{
	cache_pool = tmem_pool_open(TMEM_POOL_CACHE, 0, &pool_ops, NULL);
	return PTR_ERR_OR_ZERO(cache_pool);
}

static void close_pool(void)
{
	cache_flush_stop();
	tmem_pool_close(cache_pool);
}

static int make_queue(void)
{
	cache_queue = alloc_workqueue("tmem_cache", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	return cache_queue ? 0 : -ENOMEM;
}

static void free_queue(void)
{
	destroy_workqueue(cache_queue);
}

/* Waits for those that are on their way out of a disk's pass(). */
void cache_queue_flush(void)
{
	flush_workqueue(cache_queue);
}
EXPORT_SYMBOL_GPL(cache_queue_flush);

static int watch_sleep(void)
{
	return register_pm_notifier(&sleep_notifier);
}

static void unwatch_sleep(void)
{
	unregister_pm_notifier(&sleep_notifier);
	if (xen_domain())
		xen_resume_notifier_unregister(&resume_notifier);
}

static const struct {
	int (*init)(void);
	void (*exit)(void);
} parts[] = {
	{ cache_probes_find, NULL },
	{ cache_records_init, cache_records_exit },
	{ cache_generations_init, cache_generations_exit },
	{ make_queue, free_queue },
	{ cache_bio_init, cache_bio_exit },
	{ cache_hit_init, cache_hit_exit },
	{ cache_spot_init, cache_spot_exit },
	{ cache_stage_init, cache_stage_exit },
	{ open_pool, close_pool },
	{ cache_sysfs_init, cache_sysfs_exit },
	{ watch_sleep, unwatch_sleep },
};

static void exit_parts(unsigned int count)
{
	while (count--)
		if (parts[count].exit)
			parts[count].exit();
}

/* A disk that cannot be cached is told of in the log; the module stays, for sysfs. */
static void enable_disks(void)
{
	char *all = kstrdup(disks, GFP_KERNEL), *rest = all, *one;

	while ((one = strsep(&rest, ",")) != NULL)
		if (*one)
			cache_enable(one);
	kfree(all);
}

static int __init cache_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		int err = parts[i].init();

		if (err) {
			exit_parts(i);
			return err;
		}
	}
	if (xen_domain())
		xen_resume_notifier_register(&resume_notifier);
	enable_disks();
	return 0;
}

static void __exit cache_exit(void)
{
	exit_parts(ARRAY_SIZE(parts));
}

module_init(cache_init);
module_exit(cache_exit);
MODULE_DESCRIPTION("tmem: clean page cache of ext4 and xfs, by disk block");
MODULE_LICENSE("GPL");
