// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page goes to the pool.
 *
 * With a credit the write is reported as done as soon as the page is copied: the daemon keeps room
 * for it, and until it has answered, the copy is found by readers. Without, the write is done when
 * the pool has it. What the pool does not take is spilled.
 */
#include <linux/highmem.h>
#include "swap.h"

static void put_done(struct tmem_io *io)
{
	struct piece *piece = container_of(io, struct piece, io);
	struct swap_request *request = piece->request;
	int error = io->error;
	unsigned long flags;

	slot_lock(piece->slot, &flags);
	if (error && !piece->superseded) {
		if (piece->early)
			piece_hold(piece);
		else if (error != -ENOSPC)
			tmem_owe(&swap.owed, piece->slot); /* it may be stored yet */
		spill_add(piece);
		slot_unlock(piece->slot, flags);
		return;
	}
	/* A free overtook a put that had to wait for room: the flush has to be sent once more. */
	if (piece->superseded && !piece->early)
		slot_older_in_pool(piece->slot);
	if (!piece->superseded && !piece->early)
		slot_set(piece->slot, SLOT_POOL);
	piece_unlink(piece);
	slot_unlock(piece->slot, flags);
	if (!error)
		swap_count(SWAP_WRITES_POOL);
	piece_free(piece);
	if (request)
		request_done(request, 0);
}

/*
 * Post the put and make it the slot's contents in one locked step, in which a pending flush is
 * dropped: from here on it would hit the new page. Returns as tmem_put(); the piece is gone or
 * going unless that is negative.
 */
static int put_post(struct piece *piece, unsigned int how)
{
	u32 slot = piece->slot;
	unsigned long flags;
	int result;

	piece->io.done = put_done;
	slot_lock(slot, &flags);
	result = tmem_put(&piece->io, how);
	if (result >= 0) {
		slot_supersede(slot);
		piece_link(piece);
		tmem_owe_not(&swap.owed, slot);
		slot_unmark(slot);
	}
	if (result == 1) {
		piece->early = true;
		atomic_inc(&swap.pieces_early);
		piece->request = NULL;
		slot_set(slot, SLOT_POOL);
	}
	slot_unlock(slot, flags);
	return result;
}

static void write_spill(struct piece *piece)
{
	unsigned long flags;

	slot_lock(piece->slot, &flags);
	slot_supersede(piece->slot);
	piece_link(piece);
	spill_add(piece);
	slot_unlock(piece->slot, flags);
}

static void header_copy(struct page *page, unsigned int offset, bool write)
{
	void *data = kmap_local_page(page);

	if (write)
		memcpy(page_address(swap.header), data + offset, PAGE_SIZE);
	else
		memcpy(data + offset, page_address(swap.header), PAGE_SIZE);
	kunmap_local(data);
}

/* Writers that ask at once may exceed it by a few, which are taken from PIECES_BOUNDED. */
static bool may_be_early(void)
{
	return atomic_read(&swap.pieces_early) < swap.pieces_early_max;
}

/* May sleep. */
void write_page(u32 slot, struct page *page, unsigned int offset, struct swap_request *request)
{
	struct piece *piece;
	int result;

	swap_count(SWAP_WRITES);
	if (!slot) {
		header_copy(page, offset, true);
		request_done(request, 0);
		return;
	}
	piece = piece_new(slot, GFP_NOIO);
	piece->io.page = page;
	piece->io.offset = offset;
	piece->request = request;
	result = put_post(piece, TMEM_IO_WAIT | (may_be_early() ? TMEM_IO_CREDIT : 0) |
				 (swap.backing.bdev ? TMEM_IO_ELSEWHERE : 0));
	if (result < 0) {
		write_spill(piece);
	} else if (result == 1) {
		swap_count(SWAP_WRITES_EARLY);
		request_done(request, 0);
	}
}

/* Only if it can be reported as done at once. Does not sleep. */
bool write_page_now(u32 slot, struct page *page)
{
	struct piece *piece;

	if (!slot || READ_ONCE(swap.evacuating) || !may_be_early())
		return false;
	piece = piece_new(slot, GFP_NOWAIT);
	if (!piece)
		return false;
	piece->io.page = page;
	if (put_post(piece, TMEM_IO_ONLY_CREDIT) < 0) {
		piece_free(piece);
		return false;
	}
	swap_count(SWAP_WRITES);
	swap_count(SWAP_WRITES_EARLY);
	return true;
}
