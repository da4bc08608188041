// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page comes back: from a piece that is still on its way, from the pool or from the disk. A page
 * that is in none of them is an I/O error; only a slot that was never written reads as zeroes.
 */
#include <linux/highmem.h>
#include "swap.h"

static void fill(struct page *page, unsigned int offset, const void *from)
{
	void *data = kmap_local_page(page);

	if (from)
		memcpy(data + offset, from, PAGE_SIZE);
	else
		memset(data + offset, 0, PAGE_SIZE);
	kunmap_local(data);
	flush_dcache_page(page);
}

/* From what is on its way to the pool, or from there to the disk. The slot's lock is held. */
static bool read_piece(u32 slot, struct page *page, unsigned int offset)
{
	struct piece *piece = slot_staged(slot);

	if (piece) {
		fill(page, offset, tmem_io_staged(&piece->io));
	} else {
		piece = slot_moving(slot);
		if (!piece)
			return false;
		fill(page, offset, page_address(piece->buffer));
	}
	swap_count(SWAP_READS_STAGED);
	return true;
}

/* What is in the guest is read at once; true if it was. The slot's lock is held. */
static bool read_here(u32 slot, struct page *page, unsigned int offset)
{
	if (!slot) {
		fill(page, offset, page_address(swap.header));
		return true;
	}
	if (read_piece(slot, page, offset))
		return true;
	if (swap.state[slot] != SLOT_EMPTY)
		return false;
	fill(page, offset, NULL);
	swap_count(SWAP_READS_EMPTY);
	return true;
}

bool read_page_now(u32 slot, struct page *page, unsigned int offset)
{
	unsigned long flags;
	bool here;

	slot_lock(slot, &flags);
	here = read_here(slot, page, offset);
	slot_unlock(slot, flags);
	if (here)
		swap_count(SWAP_READS);
	return here;
}

static void get_done(struct tmem_io *io)
{
	struct piece *piece = container_of(io, struct piece, io);
	struct swap_request *request = piece->request;
	int error = io->error;
	unsigned long flags;
	bool here = false;

	if (error) {
		slot_lock(piece->slot, &flags);
		/* Another piece may have taken the page out of the pool meanwhile. */
		if (swap.state[piece->slot] == SLOT_DISK) {
			piece->reread = true;
			spill_add(piece);
			slot_unlock(piece->slot, flags);
			return;
		}
		here = read_piece(piece->slot, io->page, io->offset);
		if (!here && (error == -ENOENT || error == -ESTALE) &&
		    swap.state[piece->slot] == SLOT_POOL)
			slot_lost(piece->slot);
		slot_unlock(piece->slot, flags);
	}
	if (!here)
		swap_count(error ? SWAP_READ_ERRORS : SWAP_READS_POOL);
	piece_free(piece);
	request_done(request, here ? 0 : error);
}

/* A get failed, and the page was found to be on the disk. Process context, as spill_run(). */
void read_again(struct piece *piece)
{
	struct swap_request *request = piece->request;
	struct page *page = piece->io.page;
	unsigned int offset = piece->io.offset;
	u32 slot = piece->slot;

	piece_free(piece);
	if (READ_ONCE(swap.state[slot]) == SLOT_DISK) {
		disk_read(slot, page, offset, request);
		return;
	}
	/* Written or freed since: nobody can expect the page of before. */
	swap_count(SWAP_READ_ERRORS);
	request_done(request, -EIO);
}

/*
 * Where the page is; SLOT_EMPTY: it was read. With a piece, a get of a page in the pool is posted,
 * and `result` is that of tmem_get().
 */
static enum slot_state read_from(u32 slot, struct page *page, unsigned int offset,
				 struct piece *piece, int *result)
{
	enum slot_state state = SLOT_EMPTY;
	unsigned long flags;

	slot_lock(slot, &flags);
	if (!read_here(slot, page, offset))
		state = swap.state[slot];
	if (piece && state == SLOT_POOL) {
		*result = tmem_get(&piece->io, TMEM_IO_WAIT);
		slot_unmark(slot);
	}
	slot_unlock(slot, flags);
	return state;
}

/* May sleep. */
void read_page(u32 slot, struct page *page, unsigned int offset, struct swap_request *request)
{
	enum slot_state state;
	struct piece *piece;
	int result = 0;

	swap_count(SWAP_READS);
	state = read_from(slot, page, offset, NULL, NULL);
	if (state == SLOT_POOL) {
		piece = piece_new(slot, GFP_NOIO);
		piece->io.page = page;
		piece->io.offset = offset;
		piece->io.done = get_done;
		piece->request = request;
		state = read_from(slot, page, offset, piece, &result);
		if (state == SLOT_POOL && !result)
			return;
		piece_free(piece);
	}
	if (state == SLOT_DISK) {
		disk_read(slot, page, offset, request);
		return;
	}
	if (state != SLOT_EMPTY)
		result = -EIO;
	if (result)
		swap_count(SWAP_READ_ERRORS);
	request_done(request, result);
}
