// SPDX-License-Identifier: GPL-2.0-only
/*
 * tmem_frontswap: pages of the guest's swap areas in the host's pool. Parameters and start; it has
 * no end, because the kernel's frontswap lets nobody go.
 */
#define pr_fmt(fmt) "tmem_frontswap: " fmt
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>
#include "frontswap.h"

struct frontswap frontswap;

static unsigned long size_mb;
module_param(size_mb, ulong, 0444);
MODULE_PARM_DESC(size_mb,
		 "Swap areas that can be served, in MiB; 0: those that are active, at least as much as memory (default 0)");

static void pool_up(void *ctx, bool kept)
{
	if (!kept)
		pages_lost();
}

static void pool_dropped(void *ctx, u8 op, const struct tmem_key *key, int error)
{
	if (op == TMEM_OP_FLUSH_PAGE && error != -ESTALE)
		page_not_flushed(key);
}

static void pool_room(void *ctx)
{
	tmem_owed_room(&frontswap.owed);
}

static bool pool_holds(void *ctx)
{
	return atomic64_read(&frontswap.stats[FRONTSWAP_POOL_PAGES]);
}

static const struct tmem_pool_ops pool_ops = {
	.up = pool_up,
	.dropped = pool_dropped,
	.room = pool_room,
	.holds = pool_holds,
};

static int table_init(void)
{
	u64 pages = (u64)size_mb << (20 - PAGE_SHIFT);

	if (!pages)
		pages = max_t(u64, areas_active_pages(), totalram_pages());
	if (pages >= NO_SLOT)
		return -EFBIG;
	frontswap.slots = pages;
	frontswap.state = vzalloc(pages);
	if (!frontswap.state)
		return -ENOMEM;
	return tmem_owed_init(&frontswap.owed, pages, &frontswap.stats[FRONTSWAP_FLUSHES]);
}

static int pool_start(void)
{
	int error = table_init();

	if (error)
		goto table;
	error = -ENOMEM;
	frontswap.worker = alloc_workqueue("tmem_frontswap", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!frontswap.worker)
		goto owed;
	frontswap.owed.worker = frontswap.worker;
	frontswap.pool = tmem_pool_open(TMEM_POOL_FRONTSWAP, TMEM_POOL_PERSISTENT, &pool_ops,
					&frontswap);
	frontswap.owed.pool = frontswap.pool;
	if (!IS_ERR(frontswap.pool))
		return 0;
	error = PTR_ERR(frontswap.pool);
	destroy_workqueue(frontswap.worker);
owed:
	tmem_owed_exit(&frontswap.owed);
table:
	vfree(frontswap.state);
	return error;
}

/* Nothing was stored yet. */
static void pool_stop(void)
{
	tmem_owed_stop(&frontswap.owed);
	tmem_pool_close(frontswap.pool);
	tmem_owed_stop(&frontswap.owed);
	destroy_workqueue(frontswap.worker);
	tmem_owed_exit(&frontswap.owed);
	vfree(frontswap.state);
}

static int __init tmem_frontswap_init(void)
{
	int error;

	error = symbols_find();
	if (error)
		return error;
	error = pool_start();
	if (error)
		return error;
	error = frontswap_stats_init();
	if (error)
		goto pool;
	error = guard_install();
	if (error)
		goto stats;
	error = hook_install();
	if (!error)
		return 0;
	guard_remove();
stats:
	frontswap_stats_exit();
pool:
	pool_stop();
	return error;
}

module_init(tmem_frontswap_init);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Frontswap in the transcendent memory of a Xen host");
