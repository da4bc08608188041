// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of slots: stored, loaded, freed.
 *
 * A store waits for the daemon's answer (credits are not used: a page whose store was reported as
 * done could no longer go to the disk). What is refused or fails goes to the disk, and a put that may
 * happen yet is followed by a flush. A load that fails is an I/O error: the guard sees to it.
 *
 * Context of page_store(), page_load(): process, sleep, may be inside of reclaim. page_free(): any.
 */
#include <linux/completion.h>
#include "frontswap.h"

struct waited {
	struct tmem_io io;
	struct completion done;
};

static void waited_done(struct tmem_io *io)
{
	complete(&container_of(io, struct waited, io)->done);
}

/* The slot's lock is held. */
static void slot_set(u32 slot, enum slot_state state)
{
	enum slot_state old = frontswap.state[slot];
	atomic64_t *pages = &frontswap.stats[FRONTSWAP_POOL_PAGES];

	if (old == state)
		return;
	if (old == SLOT_POOL && atomic64_dec_and_test(pages))
		tmem_holds_changed();
	WRITE_ONCE(frontswap.state[slot], state);
	if (state == SLOT_POOL && atomic64_inc_return(pages) == 1)
		tmem_holds_changed();
	if (state == SLOT_LOST)
		frontswap_count(FRONTSWAP_LOST);
}

/* The page counts before the core takes the put for answered. */
static void put_done(struct tmem_io *io)
{
	u32 slot = tmem_key_slot(&io->key);
	unsigned long flags;

	tmem_slot_lock(&frontswap.owed, slot, &flags);
	slot_set(slot, io->error ? SLOT_EMPTY : SLOT_POOL);
	if (io->error && io->error != -ENOSPC)
		tmem_owe(&frontswap.owed, slot); /* it may be stored yet */
	tmem_slot_unlock(&frontswap.owed, slot, flags);
	waited_done(io);
}

static void wait_start(struct waited *waited, u32 slot, struct page *page)
{
	waited->io = (struct tmem_io){
		.pool = frontswap.pool,
		.key = tmem_slot_key(slot),
		.page = page,
		.done = waited_done,
	};
	init_completion(&waited->done);
}

static int put(u32 slot, struct page *page)
{
	struct waited waited;
	unsigned long flags;
	int error;

	wait_start(&waited, slot, page);
	waited.io.done = put_done;
	tmem_slot_lock(&frontswap.owed, slot, &flags);
	error = tmem_put(&waited.io, TMEM_IO_WAIT | TMEM_IO_ELSEWHERE);
	if (!error) {
		tmem_owe_not(&frontswap.owed, slot);
		slot_set(slot, SLOT_STORING);
	}
	tmem_slot_unlock(&frontswap.owed, slot, flags);
	if (error)
		return -ENOSPC;
	wait_for_completion_io(&waited.done);
	return waited.io.error;
}

int page_store(u32 slot, struct page *page)
{
	int error;

	frontswap_count(FRONTSWAP_STORES);
	page_free(slot);
	error = put(slot, page);
	if (!error)
		frontswap_count(FRONTSWAP_STORES_POOL);
	else
		frontswap_count(error == -ENOSPC ? FRONTSWAP_STORES_REFUSED :
						   FRONTSWAP_STORES_FAILED);
	return error;
}

bool page_is_ours(u32 slot)
{
	return READ_ONCE(frontswap.state[slot]) != SLOT_EMPTY;
}

/* Only of slots that are ours. */
int page_load(u32 slot, struct page *page)
{
	struct waited waited;
	unsigned long flags;
	int error = -EIO;

	frontswap_count(FRONTSWAP_LOADS);
	wait_start(&waited, slot, page);
	tmem_slot_lock(&frontswap.owed, slot, &flags);
	if (frontswap.state[slot] == SLOT_POOL)
		error = tmem_get(&waited.io, TMEM_IO_WAIT);
	tmem_slot_unlock(&frontswap.owed, slot, flags);
	if (!error) {
		wait_for_completion_io(&waited.done);
		error = waited.io.error;
	}
	if (error == -ENOENT || error == -ESTALE) {
		tmem_slot_lock(&frontswap.owed, slot, &flags);
		slot_set(slot, SLOT_LOST);
		tmem_slot_unlock(&frontswap.owed, slot, flags);
	}
	if (!error)
		flush_dcache_page(page);
	frontswap_count(error ? FRONTSWAP_LOADS_FAILED : FRONTSWAP_LOADS_POOL);
	return error;
}

bool page_free(u32 slot)
{
	unsigned long flags;
	enum slot_state old;

	tmem_slot_lock(&frontswap.owed, slot, &flags);
	old = frontswap.state[slot];
	if (old == SLOT_POOL)
		tmem_owe(&frontswap.owed, slot);
	slot_set(slot, SLOT_EMPTY);
	tmem_slot_unlock(&frontswap.owed, slot, flags);
	return old != SLOT_EMPTY;
}

/* The pool is empty. Process context. */
void pages_lost(void)
{
	unsigned long flags;
	u32 slot;

	for (slot = 0; slot < frontswap.slots; slot++) {
		tmem_slot_lock(&frontswap.owed, slot, &flags);
		tmem_owe_not(&frontswap.owed, slot);
		if (frontswap.state[slot] == SLOT_POOL)
			slot_set(slot, SLOT_LOST);
		tmem_slot_unlock(&frontswap.owed, slot, flags);
		cond_resched();
	}
}

/* A flush was posted, and the connection ended before it was answered. */
void page_not_flushed(const struct tmem_key *key)
{
	u32 slot = tmem_key_slot(key);
	unsigned long flags;

	tmem_slot_lock(&frontswap.owed, slot, &flags);
	if (frontswap.state[slot] != SLOT_POOL && frontswap.state[slot] != SLOT_STORING)
		tmem_owe(&frontswap.owed, slot);
	tmem_slot_unlock(&frontswap.owed, slot, flags);
}
