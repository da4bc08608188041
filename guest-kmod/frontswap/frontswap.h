/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of tmem_frontswap: pages of swap areas that exist already go to the pool before they would
 * go to the disk.
 *
 *   hook.c     the kernel's frontswap calls us
 *   symbols.c  kernel symbols that are not exported, looked up and checked
 *   areas.c    which slots of ours belong to which swap area
 *   pages.c    store, load, invalidate
 *   guard.c    what is in the pool is never read from the disk
 *
 * A slot is a page of one of the swap areas. The kernel holds the page lock of a swap cache page
 * over store and load of its slot, and frees the slot only when no such page is left: so a slot is
 * stored, loaded or invalidated by one caller at a time.
 *
 * Lock order: swap's locks of its callers (swap_info_struct.lock and the like)
 *             -> area_lock, or slot lock (irqsave; never two) -> locks of tmem_core.
 *
 * Nothing on the way of a page allocates. invalidate_page() is atomic and only marks; store() and
 * load() wait for the daemon, bounded by the time-outs of tmem_core.
 */
#ifndef TMEM_FRONTSWAP_H
#define TMEM_FRONTSWAP_H

#include <linux/frontswap.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include "compat.h"
#include "owed.h"
#include "tmem_core.h"

#define NO_SLOT U32_MAX

enum slot_state {
	SLOT_EMPTY,   /* not ours */
	SLOT_STORING, /* on its way to the pool */
	SLOT_POOL,    /* in the pool */
	SLOT_LOST,    /* was in the pool, is nowhere */
};

enum frontswap_stat {
	FRONTSWAP_STORES,
	FRONTSWAP_STORES_POOL,
	FRONTSWAP_STORES_REFUSED,
	FRONTSWAP_STORES_FAILED,
	FRONTSWAP_STORES_PASSED,
	FRONTSWAP_LOADS,
	FRONTSWAP_LOADS_POOL,
	FRONTSWAP_LOADS_FAILED,
	FRONTSWAP_LOADS_GUARDED,
	FRONTSWAP_LOST,
	FRONTSWAP_FREES,
	FRONTSWAP_FLUSHES,
	FRONTSWAP_POOL_PAGES, /* a gauge */
	FRONTSWAP_STATS,
};

struct frontswap {
	u32 slots;
	u8 *state; /* enum slot_state, by slot; its lock */
	struct tmem_pool *pool;
	struct tmem_owed owed; /* flushes, and the slots' locks */
	struct workqueue_struct *worker;
	atomic64_t stats[FRONTSWAP_STATS];
};

extern struct frontswap frontswap;

static inline void frontswap_count(enum frontswap_stat stat)
{
	atomic64_inc(&frontswap.stats[stat]);
}

/* symbols.c. Process context. */
struct frontswap_symbols {
	struct swap_info_struct **swap_info;
	void *end_swap_bio_read;
#if TMEM_FRONTSWAP_TAKEN
	const struct frontswap_ops **ops;
	int (*register_ops)(const struct frontswap_ops *ops);
#endif
};

extern struct frontswap_symbols symbols;
int symbols_find(void);

/* areas.c. Any context. NO_SLOT: none. */
u32 area_slot(unsigned int type, pgoff_t offset);
/* The same; gives the area its slots if it has none. */
u32 area_slot_claim(unsigned int type, pgoff_t offset);
u64 areas_active_pages(void);
/* The area is off: its slots, which are nobody else's before area_release(). */
void area_run(unsigned int type, u32 *first, u32 *count);
void area_release(unsigned int type);

/* pages.c */
int page_store(u32 slot, struct page *page);
int page_load(u32 slot, struct page *page);
/* Neither on the disk nor with another backend. */
bool page_is_ours(u32 slot);
/* Returns whether it was ours. */
bool page_free(u32 slot);
void pages_lost(void);
void page_not_flushed(const struct tmem_key *key);

/* guard.c. Process context. */
int guard_install(void);
void guard_remove(void);

/* hook.c. Process context; cannot be undone. */
int hook_install(void);

/* stats.c */
int frontswap_stats_init(void);
void frontswap_stats_exit(void);

#endif /* TMEM_FRONTSWAP_H */
