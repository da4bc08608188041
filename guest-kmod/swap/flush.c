// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of freed slots leave the pool, in batches.
 *
 * A free only sets the slot's pending bit: it happens under swap's locks and must not depend on
 * room in the ring. The worker posts the flushes; what finds no room is posted when the core says that
 * there is some. Many freed slots are written again before the worker comes to them: then the put
 * takes the bit, and no flush is sent.
 */
#include "swap.h"

#define BATCH_MS 4

/* The slot's lock is held. */
void flush_owe(u32 slot)
{
	set_bit(slot, swap.pending);
	queue_delayed_work(swap.worker, &swap.flush_work, msecs_to_jiffies(BATCH_MS));
}

/* A flush was posted, and the connection ended before it was answered. Atomic. */
void flush_lost(void *ctx, u8 op, const struct tmem_key *key, int error)
{
	u32 slot = key->oid[1] * SLOTS_PER_OBJECT + key->index;
	unsigned long flags;

	if (op != TMEM_OP_FLUSH_PAGE || error == -ESTALE)
		return;
	slot_lock(slot, &flags);
	if (swap.state[slot] != SLOT_POOL && !slot_current(slot))
		flush_owe(slot);
	slot_unlock(slot, flags);
}

/* There is room again. */
void flush_kick(void)
{
	if (xchg(&swap.flush_stuck, false))
		mod_delayed_work(swap.worker, &swap.flush_work, 0);
}

void flush_run(struct work_struct *work)
{
	unsigned long slot, flags;
	int error = 0;

	for_each_set_bit(slot, swap.pending, swap.slots) {
		struct tmem_key key = slot_key(slot);

		slot_lock(slot, &flags);
		if (test_bit(slot, swap.pending)) {
			WRITE_ONCE(swap.flush_stuck, true); /* before the core may say "room" */
			error = tmem_flush_page(swap.pool, &key);
			if (!error) {
				clear_bit(slot, swap.pending);
				swap_count(SWAP_FLUSHES);
			}
		}
		slot_unlock(slot, flags);
		if (error)
			return; /* .room() calls again */
		cond_resched();
	}
	WRITE_ONCE(swap.flush_stuck, false);
}
