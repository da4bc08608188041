// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page that the pool did not take: to the backing disk. Without one (or if it fails) a page whose
 * write was reported as done is held and put again until that succeeds, another page that was not
 * is an I/O error, on which swap keeps it in memory.
 *
 * The same worker writes what evacuate.c and writeback.c bring, and reads again what they moved to
 * the disk under a reader.
 *
 * Context of spill_run() and disk_read(): process, may sleep in the bio mempool only. One worker
 * with a rescuer.
 */
#include "swap.h"

#define AGAIN_MS 500

static sector_t slot_sector(u32 slot)
{
	return (sector_t)slot << (PAGE_SHIFT - SECTOR_SHIFT);
}

static void spill_later(struct piece *piece, unsigned int delay_ms)
{
	unsigned long flags;

	spin_lock_irqsave(&swap.spill_lock, flags);
	list_add_tail(&piece->spill, &swap.spills);
	spin_unlock_irqrestore(&swap.spill_lock, flags);
	if (delay_ms)
		queue_delayed_work(swap.worker, &swap.spill_work, msecs_to_jiffies(delay_ms));
	else
		mod_delayed_work(swap.worker, &swap.spill_work, 0);
}

/* The slot's lock is held; the piece is linked. */
void spill_add(struct piece *piece)
{
	spill_later(piece, 0);
}

/* The slot's lock is held. An older page of the slot may still be in the pool. */
static void leave_pool(const struct piece *piece, enum slot_state state)
{
	if (swap.state[piece->slot] == SLOT_POOL || piece->older)
		tmem_owe(&swap.owed, piece->slot);
	slot_set(piece->slot, state);
}

/* The slot's lock is held. Nothing can be done for it. */
static void give_up(struct piece *piece)
{
	piece_unlink(piece);
	if (!piece->superseded && piece->request)
		leave_pool(piece, SLOT_LOST);
}

static void finish(struct piece *piece, int error)
{
	struct swap_request *request = piece->request;

	if (piece->buffer)
		evacuate_end(piece, error);
	piece_free(piece);
	if (request) {
		if (error)
			swap_count(SWAP_WRITE_ERRORS);
		request_done(request, error);
	}
}

static void disk_write_done(struct bio *bio)
{
	struct piece *piece = bio->bi_private;
	int error = blk_status_to_errno(bio->bi_status);
	unsigned long flags;

	bio_put(bio);
	slot_lock(piece->slot, &flags);
	piece->to_disk = false;
	if (error && piece->held && !piece->superseded) {
		spill_later(piece, AGAIN_MS);
		slot_unlock(piece->slot, flags);
		return;
	}
	if (error) {
		give_up(piece);
	} else {
		if (!piece->superseded)
			leave_pool(piece, SLOT_DISK);
		piece_unlink(piece);
		if (!piece->buffer)
			swap_count(SWAP_WRITES_DISK);
		else
			swap_count(READ_ONCE(swap.evacuating) ? SWAP_EVACUATED : SWAP_WRITTEN_BACK);
	}
	slot_unlock(piece->slot, flags);
	finish(piece, piece->superseded ? 0 : error);
	/* A newer page of the slot may wait for this one. */
	if (!list_empty(&swap.spills))
		mod_delayed_work(swap.worker, &swap.spill_work, 0);
}

static void disk_write(struct piece *piece)
{
	struct bio *bio = bio_alloc_bioset(swap.backing.bdev, 1, REQ_OP_WRITE | REQ_SWAP, GFP_NOIO,
					   &swap.bios);
	struct page *page = piece->held ? virt_to_page(tmem_io_staged(&piece->io)) :
					  piece->io.page;

	bio->bi_iter.bi_sector = slot_sector(piece->slot);
	bio->bi_private = piece;
	bio->bi_end_io = disk_write_done;
	__bio_add_page(bio, page, PAGE_SIZE, piece->held ? 0 : piece->io.offset);
	submit_bio(bio);
}

static void again_done(struct tmem_io *io)
{
	struct piece *piece = container_of(io, struct piece, again);
	unsigned long flags;

	slot_lock(piece->slot, &flags);
	if (io->error && !piece->superseded) {
		spill_later(piece, AGAIN_MS);
		slot_unlock(piece->slot, flags);
		return;
	}
	if (!io->error)
		swap_count(SWAP_WRITES_POOL);
	piece_unlink(piece);
	slot_unlock(piece->slot, flags);
	piece_free(piece);
}

/* The slot's lock is held. */
static void put_again(struct piece *piece)
{
	piece->again = (struct tmem_io){
		.pool = swap.pool,
		.key = piece->io.key,
		.page = virt_to_page(tmem_io_staged(&piece->io)),
		.done = again_done,
	};
	if (tmem_put_held(&piece->again, &piece->io) < 0)
		spill_later(piece, AGAIN_MS);
}

static void spill_one(struct piece *piece)
{
	bool to_disk = false, dead = false;
	unsigned long flags;

	slot_lock(piece->slot, &flags);
	if (piece->superseded) {
		piece_unlink(piece);
		dead = true;
	} else if (swap.backing.bdev && slot_on_its_way_to_disk(piece->slot, piece)) {
		spill_later(piece, AGAIN_MS); /* sooner, when the other is written */
	} else if (swap.backing.bdev) {
		piece->to_disk = true;
		to_disk = true;
	} else if (piece->held) {
		put_again(piece);
	} else {
		give_up(piece);
		dead = true;
	}
	slot_unlock(piece->slot, flags);
	if (to_disk)
		disk_write(piece);
	else if (dead)
		finish(piece, piece->superseded ? 0 : -EIO);
}

void spill_run(struct work_struct *work)
{
	struct piece *piece, *next;
	struct blk_plug plug;
	LIST_HEAD(list);

	spin_lock_irq(&swap.spill_lock);
	list_splice_init(&swap.spills, &list);
	spin_unlock_irq(&swap.spill_lock);
	blk_start_plug(&plug);
	list_for_each_entry_safe(piece, next, &list, spill) {
		list_del_init(&piece->spill);
		if (piece->reread)
			read_again(piece);
		else
			spill_one(piece);
	}
	blk_finish_plug(&plug);
}

static void disk_read_done(struct bio *bio)
{
	struct swap_request *request = bio->bi_private;
	int error = blk_status_to_errno(bio->bi_status);

	swap_count(error ? SWAP_READ_ERRORS : SWAP_READS_DISK);
	bio_put(bio);
	request_done(request, error);
}

void disk_read(u32 slot, struct page *page, unsigned int offset, struct swap_request *request)
{
	struct bio *bio = bio_alloc_bioset(swap.backing.bdev, 1, REQ_OP_READ, GFP_NOIO, &swap.bios);

	bio->bi_iter.bi_sector = slot_sector(slot);
	bio->bi_private = request;
	bio->bi_end_io = disk_read_done;
	__bio_add_page(bio, page, PAGE_SIZE, offset);
	submit_bio(bio);
}
