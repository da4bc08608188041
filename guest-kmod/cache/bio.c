// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bios of a cached disk, from submission to completion.
 *
 *   read of the page cache   blocks in the pool are got from there (hit.c), the rest read; on
 *                            completion each page gets its record
 *   write, discard, zeroing  invalidates, is submitted, invalidates again; pages under writeback
 *                            get records
 *   anything else            passes
 *
 * A disk's ios are allocated with it, so that writes, which may be what frees memory, ask for none.
 *
 * Context: submission may sleep but must not wait for a bio that is queued behind it
 * (current->bio_list), so nothing here waits for an io: without one a read passes without record, a
 * write is submitted by a worker (submit_queue), which may wait, since what it waits for is on its
 * way. Completion is in any context; a write of many blocks is completed in cache_queue.
 * Clones, of reads only, come from cache_bios, which has a rescuer. What bio_split() makes is held
 * while its clones are asked for: it has a set of its own, for which nobody waits, since that set's
 * rescuer would not submit the clones on the waiter's bio_list. What cannot be split is not a hit.
 *
 * Ownership: each bio taken here holds a user of the disk until it is completed.
 */
#include <linux/blk-crypto.h>
#include <linux/blk-integrity.h>
#include <linux/pagemap.h>
#include "cache.h"

#define IOS 1024 /* of a disk: several times what its request queues take */
#define BLOCKS_IN_IRQ 1024u /* more are completed in a worker */

struct bio_set cache_bios;
static struct bio_set split_bios;

static void complete_large(struct work_struct *work);
static LLIST_HEAD(large_ios);
static DECLARE_WORK(large_work, complete_large);

/* The target's sectors count from its start, the hook's from the disk's. */
u64 cache_sector(const struct cache_disk *disk, struct bio *bio)
{
	if (disk->is_target || bio_flagged(bio, BIO_REMAPPED))
		return bio->bi_iter.bi_sector;
	return bio->bi_iter.bi_sector + bio->bi_bdev->bd_start_sect;
}

static struct cache_io *io_new(struct cache_disk *disk, struct bio *bio, gfp_t gfp)
{
	struct cache_io *io = NULL;
	u64 sector;

	if (!cache_fault(no_ios) || gfpflags_allow_blocking(gfp))
		io = mempool_alloc(&disk->ios, gfp);
	if (!io)
		return NULL;
	sector = cache_sector(disk, bio);
	io->disk = disk;
	io->bio = bio;
	io->iter = bio->bi_iter;
	io->block = sector / CACHE_BLOCK_SECTORS;
	io->count = DIV_ROUND_UP_ULL(sector + bio_sectors(bio), CACHE_BLOCK_SECTORS) - io->block;
	io->status = BLK_STS_OK;
	atomic_set(&io->pending, 1);
	return io;
}

static bool is_aligned(const struct cache_disk *disk, struct bio *bio)
{
	return !(cache_sector(disk, bio) % CACHE_BLOCK_SECTORS) &&
	       !(bio_sectors(bio) % CACHE_BLOCK_SECTORS);
}

static bool is_plain(struct bio *bio)
{
	return !bio_has_crypt_ctx(bio) && !bio_integrity(bio);
}

static bool has_whole_pages(struct bio *bio, bool (*like)(struct page *page))
{
	struct bvec_iter iter;
	struct bio_vec bv;

	bio_for_each_segment(bv, bio, iter)
		if (bv.bv_len != PAGE_SIZE || bv.bv_offset || !like(bv.bv_page))
			return false;
	return true;
}

static bool cache_page_is_written(struct page *page)
{
	struct folio *folio = page_folio(page);

	return folio_test_writeback(folio) && !folio_test_dirty(folio) &&
	       !folio_test_swapcache(folio) && folio_mapping(folio);
}

/* Pages of writeback do not change between here and completion unless they are dirtied again. */
static bool is_writeback(const struct cache_disk *disk, struct bio *bio)
{
	return bio_op(bio) == REQ_OP_WRITE && !(bio->bi_opf & REQ_IDLE) &&
	       READ_ONCE(disk->state) == CACHE_ON && is_aligned(disk, bio) && is_plain(bio) &&
	       has_whole_pages(bio, cache_page_is_written);
}

static bool is_cacheable_read(const struct cache_disk *disk, struct bio *bio)
{
	return READ_ONCE(disk->state) == CACHE_ON && !(bio->bi_opf & (REQ_NOWAIT | REQ_POLLED)) &&
	       is_aligned(disk, bio) && is_plain(bio) && has_whole_pages(bio, cache_page_is_read);
}

/* A page is locked (read) or under writeback, so that nobody puts it before this is over. */
static void record_page(struct cache_io *io, struct page *page, u64 block, u32 generation)
{
	bool written = op_is_write(bio_op(io->bio));

	if (written && !cache_page_is_written(page))
		return;
	cache_record_set(page, io->disk, block, generation);
	/* Against the dirty tracepoint: it comes after the flag. */
	smp_mb();
	if (folio_test_dirty(page_folio(page)))
		cache_record_take(page_to_pfn(page));
	else if (written)
		cache_count(io->disk, records_written, 1);
	else
		cache_count(io->disk, records_read, 1);
}

/* The records count only if no generation moved beyond what is `expected`. */
static void record_pages(struct cache_io *io, u64 expected)
{
	struct bvec_iter iter;
	struct bio_vec bv;
	u64 block = io->block, sum = 0;

	__bio_for_each_segment(bv, io->bio, iter, io->iter) {
		u32 generation = cache_generation(io->disk, block);

		sum += generation;
		record_page(io, bv.bv_page, block++, generation);
	}
	if (sum == expected)
		return;
	__bio_for_each_segment(bv, io->bio, iter, io->iter)
		cache_record_take(page_to_pfn(bv.bv_page));
}

static void end_write(struct cache_io *io)
{
	struct cache_disk *disk = io->disk;
	blk_status_t status = io->bio->bi_status;

	cache_index_invalidate(disk, io->block, io->count);
	if (status == BLK_STS_OK) {
		if (io->recordable)
			record_pages(io, io->generations + io->count);
	} else if (status != BLK_STS_NOTSUPP && status != BLK_STS_AGAIN) {
		cache_count(disk, write_errors, 1);
		cache_disk_flush(disk, "write error");
	}
}

/* The bio has its own end_io again, or never had ours. */
void cache_io_finish(struct cache_io *io)
{
	struct cache_disk *disk = io->disk;
	struct bio *bio = io->bio;

	if (op_is_write(bio_op(bio)))
		end_write(io);
	else if (bio->bi_status == BLK_STS_OK)
		record_pages(io, io->generations);
	mempool_free(io, &disk->ios);
	percpu_ref_put(&disk->users);
	bio_endio(bio);
}

static void complete_large(struct work_struct *work)
{
	struct cache_io *io, *next;

	llist_for_each_entry_safe(io, next, llist_del_all(&large_ios), node)
		cache_io_finish(io);
}

static void cache_io_end(struct bio *bio)
{
	struct cache_io *io = bio->bi_private;

	bio->bi_end_io = io->end_io;
	bio->bi_private = io->private;
	if (io->count <= BLOCKS_IN_IRQ)
		cache_io_finish(io);
	else if (llist_add(&io->node, &large_ios))
		queue_work(cache_queue, &large_work);
}

/*
 * The disk for which this bio is on its way already; it comes by again when it was split, or punted
 * by a rescuer. A bio of a target may be a hooked disk's as well, one after the other.
 */
const struct cache_disk *cache_owner(const struct bio *bio)
{
	if (bio->bi_end_io == cache_io_end || bio->bi_end_io == cache_part_end)
		return ((const struct cache_io *)bio->bi_private)->disk;
	if (bio->bi_end_io == cache_spot_end)
		return ((const struct cache_get *)bio->bi_private)->parent->disk;
	return NULL;
}

static void submit_watched(struct cache_io *io)
{
	struct bio *bio = io->bio;

	io->end_io = bio->bi_end_io;
	io->private = bio->bi_private;
	bio->bi_private = io;
	bio->bi_end_io = cache_io_end;
	io->disk->pass(bio);
}

static void submit_write(struct cache_io *io)
{
	struct cache_disk *disk = io->disk;

	cache_count(disk, writes, 1);
	io->recordable = is_writeback(disk, io->bio);
	cache_index_invalidate(disk, io->block, io->count);
	if (io->recordable)
		io->generations = cache_generation_sum(disk, io->block, io->count);
	submit_watched(io);
}

static void write_bio(struct cache_disk *disk, struct bio *bio)
{
	struct cache_io *io = io_new(disk, bio, GFP_NOWAIT);

	if (io) {
		submit_write(io);
		return;
	}
	cache_count(disk, writes_deferred, 1);
	spin_lock_irq(&disk->deferred_lock);
	bio_list_add(&disk->deferred, bio);
	/* Inside: once a worker can take the bio, the disk may go. */
	queue_work(disk->submit_queue, &disk->deferred_work);
	spin_unlock_irq(&disk->deferred_lock);
}

void cache_run_deferred(struct work_struct *work)
{
	struct cache_disk *disk = container_of(work, struct cache_disk, deferred_work);
	struct bio_list bios;
	struct bio *bio;

	spin_lock_irq(&disk->deferred_lock);
	bios = disk->deferred;
	bio_list_init(&disk->deferred);
	spin_unlock_irq(&disk->deferred_lock);
	while ((bio = bio_list_pop(&bios)))
		submit_write(io_new(disk, bio, GFP_NOIO));
}

/* Untouched, so that it holds no user either. */
static void pass(struct cache_disk *disk, struct bio *bio)
{
	void (*submit)(struct bio *bio) = disk->pass;

	percpu_ref_put(&disk->users);
	submit(bio);
}

static void read_bio(struct cache_disk *disk, struct bio *bio)
{
	struct cache_io *io = io_new(disk, bio, GFP_NOWAIT);

	if (!io) {
		pass(disk, bio);
		return;
	}
	/* Before anything is asked: a write after this voids the records. */
	io->generations = cache_generation_sum(disk, io->block, io->count);
	if (!cache_hit_read(io))
		submit_watched(io);
}

static void read_bios(struct cache_disk *disk, struct bio *bio)
{
	u64 block = cache_sector(disk, bio) / CACHE_BLOCK_SECTORS;
	unsigned int most = CACHE_HIT_BLOCKS * CACHE_BLOCK_SECTORS;

	cache_count(disk, reads, 1);
	while (bio_sectors(bio) > most &&
	       cache_index_any(disk, block, bio_sectors(bio) / CACHE_BLOCK_SECTORS)) {
		struct bio *front = bio_split(bio, most, GFP_NOWAIT, &split_bios);

		if (!front)
			break;
		bio_chain(front, bio);
		percpu_ref_get(&disk->users);
		read_bio(disk, front);
		block += CACHE_HIT_BLOCKS;
	}
	read_bio(disk, bio);
}

/* Submits a bio of the disk. The caller's user of the disk goes with it. */
void cache_submit(struct cache_disk *disk, struct bio *bio)
{
	enum req_op op = bio_op(bio);

	cache_disk_look(disk);
	if (READ_ONCE(disk->state) != CACHE_OFF && bio_sectors(bio)) {
		if (op_is_write(op)) {
			write_bio(disk, bio);
			return;
		}
		if (op == REQ_OP_READ && is_cacheable_read(disk, bio)) {
			read_bios(disk, bio);
			return;
		}
		cache_count(disk, reads_other, 1);
	}
	pass(disk, bio);
}
EXPORT_SYMBOL_GPL(cache_submit);

/* For the reserve only: mempool_init() may do I/O, io_new() never. */
static void *allocate(gfp_t gfp, void *size)
{
	return gfp & __GFP_IO ? mempool_kmalloc(gfp, size) : NULL;
}

int cache_ios_init(struct cache_disk *disk)
{
	return mempool_init(&disk->ios, IOS, allocate, mempool_kfree,
			    (void *)sizeof(struct cache_io));
}

int cache_bio_init(void)
{
	int err = bioset_init(&cache_bios, 64, 0, BIOSET_NEED_BVECS | BIOSET_NEED_RESCUER);

	if (err)
		return err;
	err = bioset_init(&split_bios, 64, 0, 0);
	if (err)
		bioset_exit(&cache_bios);
	return err;
}

void cache_bio_exit(void)
{
	bioset_exit(&split_bios);
	bioset_exit(&cache_bios);
}
