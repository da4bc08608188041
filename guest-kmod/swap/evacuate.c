// SPDX-License-Identifier: GPL-2.0-only
/*
 * All pages leave the pool for the backing disk, because the guest is to be saved or migrated.
 *
 * The core refuses puts meanwhile, so that writes go to the disk. The worker reads page by page
 * from the pool, a few at a time, and writes each to its slot's place on the disk; when that is
 * done the slot's page is on the disk, and a flush is owed to the pool. A slot that is freed or
 * written meanwhile supersedes the piece that carries its old page.
 *
 * Context: process, one worker, own buffer pages (GFP_NOIO; if there is no memory it tries again).
 * It waits for the spill worker, so it must not run in swap.worker, whose rescuer may be alone.
 */
#include <linux/mm.h>
#include <linux/wait_bit.h>
#include "swap.h"

#define AGAIN_MS 100

/* Any context. */
void evacuate_end(struct piece *piece, bool failed)
{
	__free_page(piece->buffer);
	piece->buffer = NULL;
	if (failed)
		WRITE_ONCE(swap.evacuate_failed, true);
	atomic_dec(&swap.evacuations);
	wake_up_var(&swap.evacuations);
}

static void got(struct tmem_io *io)
{
	struct piece *piece = container_of(io, struct piece, io);
	unsigned long flags;

	slot_lock(piece->slot, &flags);
	if (!io->error && !piece->superseded) {
		piece->moving = true;
		spill_add(piece);
		slot_unlock(piece->slot, flags);
		return;
	}
	piece_unlink(piece);
	if (!piece->superseded && (io->error == -ENOENT || io->error == -ESTALE) &&
	    swap.state[piece->slot] == SLOT_POOL)
		slot_lost(piece->slot);
	slot_unlock(piece->slot, flags);
	evacuate_end(piece, io->error == -ETIMEDOUT || io->error == -EIO);
	piece_free(piece);
}

/* Also for writeback.c. False: no memory now. */
bool evacuate_slot(u32 slot)
{
	struct page *buffer = alloc_page(GFP_NOIO | __GFP_NOWARN);
	struct piece *piece;
	unsigned long flags;
	bool posted = false;

	if (!buffer)
		return false;
	piece = piece_new(slot, GFP_NOIO);
	piece->buffer = buffer;
	piece->io.page = buffer;
	piece->io.done = got;
	atomic_inc(&swap.evacuations);
	slot_lock(slot, &flags);
	if (swap.state[slot] == SLOT_POOL && !slot_current(slot) &&
	    !tmem_get(&piece->io, TMEM_IO_WAIT)) {
		piece_link(piece);
		posted = true;
	}
	slot_unlock(slot, flags);
	if (!posted) {
		evacuate_end(piece, false);
		piece_free(piece);
	}
	return true;
}

static void evacuate_later(unsigned int delay_ms)
{
	queue_delayed_work(system_unbound_wq, &swap.evacuate_work, msecs_to_jiffies(delay_ms));
}

void evacuate_run(struct work_struct *work)
{
	bool memory = true;
	u32 slot;

	for (slot = 1; slot < swap.slots && memory && READ_ONCE(swap.evacuating); slot++) {
		if (READ_ONCE(swap.state[slot]) != SLOT_POOL)
			continue;
		wait_var_event(&swap.evacuations, atomic_read(&swap.evacuations) < AT_ONCE);
		memory = evacuate_slot(slot);
		cond_resched();
	}
	wait_var_event(&swap.evacuations, !atomic_read(&swap.evacuations));
	if (!READ_ONCE(swap.evacuating))
		return;
	if (READ_ONCE(swap.evacuate_failed) && atomic64_read(&swap.stats[SWAP_POOL_PAGES])) {
		WRITE_ONCE(swap.evacuating, false);
		tmem_pool_cannot_evacuate(swap.pool, "a page could not be read or written");
		return;
	}
	/* A put that is not answered yet may become a page in the pool. */
	if (atomic64_read(&swap.stats[SWAP_POOL_PAGES]) || atomic_read(&swap.pieces_out))
		evacuate_later(AGAIN_MS);
}

/* Told by the core. */
void evacuate_set(void *ctx, bool on)
{
	WRITE_ONCE(swap.evacuate_failed, false);
	WRITE_ONCE(swap.evacuating, on);
	if (on)
		evacuate_later(0);
	else
		write_back_set(ctx, READ_ONCE(swap.write_back_kib_s));
}
