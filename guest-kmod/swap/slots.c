// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the page of each slot is, and the pieces that are on their way.
 *
 * A slot's state, its pending bit and its pieces change under its lock only, and a put, get or
 * flush of the slot is posted under it: so what the pool is asked follows the order of the states.
 *
 * At most one piece of a slot is not superseded. A linked piece is in the spill list, or posted, or
 * written to the disk: it ends by itself. A superseded one stays linked while the disk writes it,
 * so that a newer page of the slot is not written past it.
 */
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/wait_bit.h>
#include "swap.h"

/* Kept for pieces that end in time: other writes, reads and evacuation. */
#define PIECES_BOUNDED 256

static struct kmem_cache *piece_cache;

static struct hlist_head *bucket(u32 slot)
{
	return &swap.buckets[slot % SLOT_BUCKETS];
}

void slot_set(u32 slot, enum slot_state state)
{
	enum slot_state old = swap.state[slot];

	if (old == state)
		return;
	slot_unmark(slot);
	if (old == SLOT_DISK)
		atomic64_dec(&swap.stats[SWAP_DISK_PAGES]);
	if (old == SLOT_POOL && atomic64_dec_and_test(&swap.stats[SWAP_POOL_PAGES]))
		tmem_holds_changed();
	swap.state[slot] = state;
	if (state == SLOT_DISK)
		swap_count(SWAP_DISK_PAGES);
	if (state == SLOT_POOL && atomic64_inc_return(&swap.stats[SWAP_POOL_PAGES]) == 1)
		tmem_holds_changed();
}

struct piece *piece_new(u32 slot, gfp_t gfp)
{
	struct piece *piece = mempool_alloc(swap.pieces, gfp);

	if (!piece)
		return NULL;
	atomic_inc(&swap.pieces_out);
	memset(piece, 0, sizeof(*piece));
	INIT_LIST_HEAD(&piece->spill);
	piece->slot = slot;
	piece->io.pool = swap.pool;
	piece->io.key = tmem_slot_key(slot);
	return piece;
}

/* Unlinked. Gives back what it holds. */
void piece_free(struct piece *piece)
{
	if (piece->held) {
		tmem_io_release(&piece->io);
		atomic64_dec(&swap.stats[SWAP_HELD]);
	}
	if (piece->early)
		atomic_dec(&swap.pieces_early);
	mempool_free(piece, swap.pieces);
	if (atomic_dec_and_test(&swap.pieces_out))
		wake_up_var(&swap.pieces_out);
}

void piece_link(struct piece *piece)
{
	hlist_add_head(&piece->node, bucket(piece->slot));
}

void piece_unlink(struct piece *piece)
{
	hlist_del_init(&piece->node);
}

/* In io's done(): keep the only copy. */
void piece_hold(struct piece *piece)
{
	tmem_io_hold(&piece->io);
	piece->held = true;
	swap_count(SWAP_HELD);
}

/* What is under way to the slot and not superseded. */
struct piece *slot_current(u32 slot)
{
	struct piece *piece;

	hlist_for_each_entry(piece, bucket(slot), node)
		if (piece->slot == slot && !piece->superseded)
			return piece;
	return NULL;
}

/* The slot gets other contents, or none. */
void slot_supersede(u32 slot)
{
	struct piece *piece = slot_current(slot);

	if (!piece)
		return;
	piece->superseded = true;
	if (piece->older)
		tmem_owe(&swap.owed, slot);
}

/* The piece whose staged page is the slot's contents, if there is one. */
struct piece *slot_staged(u32 slot)
{
	struct piece *piece;

	hlist_for_each_entry(piece, bucket(slot), node)
		if (piece->slot == slot && piece->early && !piece->superseded)
			return piece;
	return NULL;
}

/* The piece whose buffer is the slot's contents, if there is one. */
struct piece *slot_moving(u32 slot)
{
	struct piece *piece;

	hlist_for_each_entry(piece, bucket(slot), node)
		if (piece->slot == slot && piece->moving && !piece->superseded)
			return piece;
	return NULL;
}

/*
 * The pool may hold a page that is not the slot's any more. A flush might hit the page that is on
 * its way: it is owed when that goes elsewhere.
 */
void slot_older_in_pool(u32 slot)
{
	struct piece *piece = slot_current(slot);

	if (swap.state[slot] == SLOT_POOL)
		return; /* leaves the pool when the slot does */
	if (piece)
		piece->older = true;
	else
		tmem_owe(&swap.owed, slot);
}

bool slot_on_its_way_to_disk(u32 slot, const struct piece *but)
{
	struct piece *piece;

	hlist_for_each_entry(piece, bucket(slot), node)
		if (piece->slot == slot && piece != but && piece->to_disk)
			return true;
	return false;
}

/* Any context, under any lock of swap's. */
void slot_free(u32 slot)
{
	unsigned long flags;

	if (!slot || slot >= swap.slots)
		return;
	slot_lock(slot, &flags);
	if (swap.state[slot] == SLOT_POOL)
		tmem_owe(&swap.owed, slot);
	slot_supersede(slot);
	slot_set(slot, SLOT_EMPTY);
	slot_unlock(slot, flags);
}

/* A flush was posted, and the connection ended before it was answered. Atomic. */
void slot_not_flushed(const struct tmem_key *key)
{
	u32 slot = tmem_key_slot(key);
	unsigned long flags;

	slot_lock(slot, &flags);
	slot_older_in_pool(slot);
	slot_unlock(slot, flags);
}

/* The slot's lock is held: the pool has lost its page. */
void slot_lost(u32 slot)
{
	slot_set(slot, SLOT_LOST);
	swap_count(SWAP_LOST);
}

/* The pool is empty. Process context. */
void slots_lost(void)
{
	unsigned long flags;
	u32 slot;

	for (slot = 1; slot < swap.slots; slot++) {
		slot_lock(slot, &flags);
		tmem_owe_not(&swap.owed, slot);
		if (swap.state[slot] == SLOT_POOL && !slot_staged(slot) && !slot_moving(slot))
			slot_lost(slot);
		slot_unlock(slot, flags);
		cond_resched();
	}
}

int slots_init(u32 slots)
{
	int error;

	swap.slots = slots;
	error = tmem_owed_init(&swap.owed, slots, &swap.stats[SWAP_FLUSHES]);
	swap.state = vzalloc(slots);
	swap.marked = vzalloc(BITS_TO_LONGS(slots) * sizeof(long));
	swap.buckets = kvcalloc(SLOT_BUCKETS, sizeof(*swap.buckets), GFP_KERNEL);
	swap.header = alloc_page(GFP_KERNEL | __GFP_ZERO);
	piece_cache = kmem_cache_create("tmem_swap_piece", sizeof(struct piece), 0, 0, NULL);
	/* All that the usual number of slots lets be under way; with more of them not all of it. */
	swap.pieces_early_max = min_t(u32, num_possible_cpus(), TMEM_QUEUES_MAX) *
				tmem_slots_for_persistent(TMEM_SLOTS_DEFAULT);
	if (piece_cache)
		swap.pieces = mempool_create_slab_pool(swap.pieces_early_max + PIECES_BOUNDED,
						       piece_cache);
	swap.requests = mempool_create_kmalloc_pool(64, sizeof(struct swap_request));
	if (!error && swap.state && swap.marked && swap.buckets && swap.header && swap.pieces &&
	    swap.requests)
		return 0;
	slots_exit();
	return -ENOMEM;
}

void slots_exit(void)
{
	mempool_destroy(swap.requests);
	mempool_destroy(swap.pieces);
	kmem_cache_destroy(piece_cache);
	if (swap.header)
		__free_page(swap.header);
	kvfree(swap.buckets);
	tmem_owed_exit(&swap.owed);
	vfree(swap.marked);
	vfree(swap.state);
}
