// SPDX-License-Identifier: GPL-2.0-only
/* tmem_swap: a swap device in the host's pool. Parameters, start and end of the module. */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/wait_bit.h>
#include "swap.h"

struct swap_device swap;

static unsigned long size_mb;
module_param(size_mb, ulong, 0444);
MODULE_PARM_DESC(size_mb,
		 "Size of /dev/tmemswap0 in MiB; 0: that of the backing disk, else of memory (default 0)");

static char *backing;
module_param(backing, charp, 0444);
MODULE_PARM_DESC(backing,
		 "Block device for pages that the pool refuses, used by nobody else (default none)");

static bool sync = true;
module_param(sync, bool, 0444);
MODULE_PARM_DESC(sync,
		 "Let swap read page by page and free slots at once, which saves memory (default yes)");

/* Only what the pool lost is lost: what is staged here is put again. */
static void pool_up(void *ctx, bool kept)
{
	if (!kept)
		slots_lost();
}

static void pool_dropped(void *ctx, u8 op, const struct tmem_key *key, int error)
{
	if (op == TMEM_OP_FLUSH_PAGE && error != -ESTALE)
		slot_not_flushed(key);
}

static void pool_room(void *ctx)
{
	tmem_owed_room(&swap.owed);
}

static bool pool_holds(void *ctx)
{
	return atomic64_read(&swap.stats[SWAP_POOL_PAGES]);
}

static struct tmem_pool_ops pool_ops = {
	.up = pool_up,
	.dropped = pool_dropped,
	.room = pool_room,
	.holds = pool_holds,
};

static int backing_open(void)
{
	int error;

	if (!backing)
		return 0;
	error = tmem_backing_open(&swap.backing, backing, &swap);
	if (error)
		pr_err("tmem_swap: cannot open %s for itself: %d\n", backing, error);
	return error;
}

static int size_choose(u32 *slots)
{
	u64 pages = (u64)size_mb << (20 - PAGE_SHIFT);
	u64 disk_pages = 0;

	if (swap.backing.bdev)
		disk_pages = bdev_nr_sectors(swap.backing.bdev) >> (PAGE_SHIFT - SECTOR_SHIFT);
	if (swap.backing.bdev && !disk_pages) {
		pr_err("tmem_swap: the backing disk is smaller than a page\n");
		return -ENOSPC;
	}
	if (!pages)
		pages = disk_pages ?: totalram_pages();
	if (swap.backing.bdev && pages > disk_pages) {
		pr_err("tmem_swap: the backing disk is smaller than the device\n");
		return -ENOSPC;
	}
	if (pages > U32_MAX) {
		pr_err("tmem_swap: the device would be larger than 16 TiB\n");
		return -EFBIG;
	}
	*slots = pages;
	return 0;
}

static int device_start(void)
{
	u32 slots;
	int error;

	error = size_choose(&slots);
	error = error ?: slots_init(slots);
	if (error)
		return error;
	error = bioset_init(&swap.bios, 64, 0, BIOSET_NEED_RESCUER | BIOSET_NEED_BVECS);
	if (error)
		goto slots;
	error = -ENOMEM;
	swap.worker = alloc_workqueue("tmem_swap", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!swap.worker)
		goto bios;
	swap.owed.worker = swap.worker;
	if (swap.backing.bdev) {
		pool_ops.evacuate = evacuate_set;
		pool_ops.write_back = write_back_set;
	}
	swap.pool = tmem_pool_open(TMEM_POOL_SWAP, TMEM_POOL_PERSISTENT, &pool_ops, &swap);
	swap.owed.pool = swap.pool;
	if (!IS_ERR(swap.pool))
		return 0;
	error = PTR_ERR(swap.pool);
	destroy_workqueue(swap.worker);
bios:
	bioset_exit(&swap.bios);
slots:
	slots_exit();
	return error;
}

/* The disk is gone: nothing comes any more. What is held belongs to nobody. */
static void device_stop(void)
{
	u32 slot;

	write_back_stop();
	evacuate_set(&swap, false);
	flush_delayed_work(&swap.evacuate_work);
	for (slot = 1; slot < swap.slots; slot++) {
		slot_free(slot);
		cond_resched();
	}
	write_back_stop();
	cancel_delayed_work_sync(&swap.evacuate_work);
	tmem_owed_stop(&swap.owed);
	mod_delayed_work(swap.worker, &swap.spill_work, 0);
	tmem_pool_close(swap.pool); /* puts in flight are answered or given up by this */
	/* Until then the core could ask to evacuate; there was nothing to post any more. */
	write_back_stop();
	evacuate_set(&swap, false);
	cancel_delayed_work_sync(&swap.evacuate_work);
	wait_var_event(&swap.pieces_out, !atomic_read(&swap.pieces_out));
	tmem_owed_stop(&swap.owed);
	cancel_delayed_work_sync(&swap.spill_work);
	destroy_workqueue(swap.worker);
	bioset_exit(&swap.bios);
	slots_exit();
}

static int __init tmem_swap_init(void)
{
	int error;

	spin_lock_init(&swap.spill_lock);
	INIT_LIST_HEAD(&swap.spills);
	INIT_DELAYED_WORK(&swap.spill_work, spill_run);
	INIT_DELAYED_WORK(&swap.evacuate_work, evacuate_run);
	INIT_DELAYED_WORK(&swap.write_back_work, write_back_run);
	error = backing_open();
	if (error)
		return error;
	error = device_start();
	if (error)
		goto backing;
	error = swap_stats_init();
	if (error)
		goto device;
	error = swap_disk_add(sync);
	if (!error)
		return 0;
	swap_stats_exit();
device:
	device_stop();
backing:
	tmem_backing_close(&swap.backing, &swap);
	return error;
}

static void __exit tmem_swap_exit(void)
{
	swap_disk_remove();
	device_stop();
	swap_stats_exit();
	tmem_backing_close(&swap.backing, &swap);
}

module_init(tmem_swap_init);
module_exit(tmem_swap_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Swap device in the transcendent memory of a Xen host");
