// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block device /dev/tmemswap0: bio-based, blocks of 4 KiB. A bio is cut into pages; it ends
 * when the last of them is done, with an error if one of them had one.
 *
 * Context of submit: process, may sleep in the mempools only. swap_slot_free_notify: under swap's
 * locks, interrupts off or on.
 */
#include <linux/pagemap.h>
#include "swap.h"

void request_done(struct swap_request *request, int error)
{
	struct bio *bio = request->bio;

	if (error)
		WRITE_ONCE(request->status, errno_to_blk_status(error));
	if (!atomic_dec_and_test(&request->left))
		return;
	bio->bi_status = request->status;
	bio_end_io_acct(bio, request->start);
	mempool_free(request, swap.requests);
	bio_endio(bio);
}

static u32 first_slot(const struct bio *bio)
{
	return bio->bi_iter.bi_sector >> (PAGE_SHIFT - SECTOR_SHIFT);
}

static void submit_discard(struct bio *bio)
{
	u32 slot = first_slot(bio);
	u32 end = slot + (bio->bi_iter.bi_size >> PAGE_SHIFT);

	for (; slot < end; slot++) {
		slot_free(slot);
		if (slot % TMEM_SLOTS_PER_OBJECT == 0)
			cond_resched();
	}
	bio_endio(bio);
}

/* Whole pages, each inside one page of memory. */
static bool well_formed(struct bio *bio)
{
	struct bvec_iter at;
	struct bio_vec part;

	if (bio->bi_iter.bi_sector & ((PAGE_SIZE >> SECTOR_SHIFT) - 1))
		return false;
	bio_for_each_segment(part, bio, at)
		if (part.bv_len != PAGE_SIZE || part.bv_offset)
			return false;
	return true;
}

static void submit_pages(struct bio *bio)
{
	struct swap_request *request = mempool_alloc(swap.requests, GFP_NOIO);
	bool write = op_is_write(bio_op(bio));
	u32 slot = first_slot(bio);
	struct bvec_iter at;
	struct bio_vec part;

	request->bio = bio;
	request->status = BLK_STS_OK;
	request->start = bio_start_io_acct(bio);
	atomic_set(&request->left, 1);
	bio_for_each_segment(part, bio, at) {
		atomic_inc(&request->left);
		if (write)
			write_page(slot, part.bv_page, 0, request);
		else
			read_page(slot, part.bv_page, 0, request);
		slot++;
	}
	request_done(request, 0);
}

static void swap_submit_bio(struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_DISCARD:
		submit_discard(bio);
		return;
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		if (bio->bi_iter.bi_size && well_formed(bio))
			submit_pages(bio);
		else if (bio->bi_iter.bi_size)
			bio_io_error(bio);
		else
			bio_endio(bio);
		return;
	default:
		bio->bi_status = BLK_STS_NOTSUPP;
		bio_endio(bio);
	}
}

static void swap_slot_free(struct block_device *bdev, unsigned long slot)
{
	swap_count(SWAP_FREES);
	slot_free(slot);
}

#if !TMEM_KERNEL(6, 3)
/*
 * The short way: what can be done at once, without a bio. Its being there makes swap synchronous.
 * An error sends the caller the long way.
 */
static int swap_rw_page(struct block_device *bdev, sector_t sector, struct page *page,
			enum req_op op)
{
	u32 slot = sector >> (PAGE_SHIFT - SECTOR_SHIFT);
	bool write = op_is_write(op);
	bool done;

	if (PageTransHuge(page))
		return -EOPNOTSUPP;
	done = write ? write_page_now(slot, page) : read_page_now(slot, page, 0);
	if (!done)
		return -EAGAIN;
	page_endio(page, write, 0);
	return 0;
}
#endif

static const struct block_device_operations async_operations = {
	.owner = THIS_MODULE,
	.submit_bio = swap_submit_bio,
	.swap_slot_free_notify = swap_slot_free,
};

static const struct block_device_operations sync_operations = {
	.owner = THIS_MODULE,
	.submit_bio = swap_submit_bio,
	.swap_slot_free_notify = swap_slot_free,
#if !TMEM_KERNEL(6, 3)
	.rw_page = swap_rw_page,
#endif
};

int swap_disk_add(bool synchronous)
{
	int error;

	swap.major = register_blkdev(0, "tmemswap");
	if (swap.major < 0)
		return swap.major;
	error = -ENOMEM;
	swap.disk = tmem_disk_alloc(synchronous);
	if (!swap.disk)
		goto unregister;
	swap.disk->major = swap.major;
	swap.disk->first_minor = 0;
	swap.disk->minors = 1;
	swap.disk->fops = synchronous ? &sync_operations : &async_operations;
	swap.disk->flags |= GENHD_FL_NO_PART;
	strscpy(swap.disk->disk_name, "tmemswap0", sizeof(swap.disk->disk_name));
	set_capacity(swap.disk, (sector_t)swap.slots << (PAGE_SHIFT - SECTOR_SHIFT));
	error = add_disk(swap.disk);
	if (!error)
		return 0;
	put_disk(swap.disk);
unregister:
	unregister_blkdev(swap.major, "tmemswap");
	return error;
}

void swap_disk_remove(void)
{
	del_gendisk(swap.disk);
	put_disk(swap.disk);
	unregister_blkdev(swap.major, "tmemswap");
}
