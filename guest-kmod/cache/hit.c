// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads that the pool serves, in whole or in part. The read's bio itself is not submitted: what the
 * pool has is got page by page, what it has not is read by clones of the bio; when the last part is
 * done, the bio is completed. A get that fails is read from the disk by a worker.
 *
 * Context: cache_hit_read() where bios are submitted; answers in atomic context.
 */
#include <linux/mempool.h>
#include <linux/slab.h>
#include "cache.h"

static struct kmem_cache *get_cache;
static mempool_t *get_pool;

static void retry(struct work_struct *work);
static LLIST_HEAD(retries);
static DECLARE_WORK(retry_work, retry);

void cache_part_done(struct cache_io *io, blk_status_t status)
{
	if (status)
		WRITE_ONCE(io->status, (__force int)status);
	if (!atomic_dec_and_test(&io->pending))
		return;
	if (io->status)
		io->bio->bi_status = (__force blk_status_t)io->status;
	cache_io_finish(io);
}

void cache_part_end(struct bio *bio)
{
	struct cache_io *io = bio->bi_private;
	blk_status_t status = bio->bi_status;

	bio_put(bio);
	cache_part_done(io, status);
}

/* `pending` counts it already. */
static void read_part(struct cache_io *io, u32 at, u32 count)
{
	struct bio *bio = bio_alloc_clone(io->bio->bi_bdev, io->bio, GFP_NOIO, &cache_bios);

	bio_trim(bio, at * CACHE_BLOCK_SECTORS, count * CACHE_BLOCK_SECTORS);
	bio->bi_end_io = cache_part_end;
	bio->bi_private = io;
	io->disk->pass(bio);
}

void cache_get_finish(struct cache_get *get, blk_status_t status)
{
	struct cache_io *io = get->parent;

	mempool_free(get, get_pool);
	cache_part_done(io, status);
}

/* The clones share the bio's pages; neighbours are merged again by the plug. */
static void retry(struct work_struct *work)
{
	struct cache_get *get, *next;
	struct blk_plug plug;

	blk_start_plug(&plug);
	llist_for_each_entry_safe(get, next, llist_reverse_order(llist_del_all(&retries)), node) {
		struct cache_io *io = get->parent;
		u32 at = get->at;

		mempool_free(get, get_pool);
		read_part(io, at, 1);
	}
	blk_finish_plug(&plug);
}

void cache_get_retry(struct cache_get *get)
{
	if (llist_add(&get->node, &retries))
		queue_work(cache_queue, &retry_work);
}

static void got(struct tmem_io *tmem_io)
{
	struct cache_get *get = container_of(tmem_io, struct cache_get, io);
	struct cache_disk *disk = get->parent->disk;

	if (tmem_io->error) {
		cache_count(disk, stale_hits, 1);
		cache_get_retry(get);
		return;
	}
	if (cache_fault(wrong_hits))
		*(u8 *)page_address(tmem_io->page) ^= 1;
	cache_count(disk, hits, 1);
	if (cache_spot_wanted())
		cache_spot_check(get);
	else
		cache_get_finish(get, BLK_STS_OK);
}

static bool post(struct cache_io *io, u32 at, struct page *page)
{
	struct cache_get *get;

	if (!cache_index_has(io->disk, io->block + at))
		return false;
	get = mempool_alloc(get_pool, GFP_NOWAIT | __GFP_NOWARN);
	if (!get)
		return false;
	get->io.pool = cache_pool;
	get->io.page = page;
	get->io.offset = 0;
	get->io.done = got;
	get->parent = io;
	get->at = at;
	atomic_inc(&io->pending);
	if (cache_index_get(io->disk, io->block + at, get))
		return true;
	atomic_dec(&io->pending);
	mempool_free(get, get_pool);
	return false;
}

/* Posts what the pool has. Returns how many, and marks the others. */
static u32 post_all(struct cache_io *io, unsigned long *misses)
{
	struct bvec_iter iter;
	struct bio_vec bv;
	u32 at = 0, posted = 0;

	__bio_for_each_segment(bv, io->bio, iter, io->iter) {
		if (post(io, at, bv.bv_page))
			posted++;
		else
			__set_bit(at, misses);
		at++;
	}
	return posted;
}

/* False: nothing is got from the pool; the caller submits the bio. */
bool cache_hit_read(struct cache_io *io)
{
	DECLARE_BITMAP(misses, CACHE_HIT_BLOCKS) = { 0 };
	struct cache_disk *disk = io->disk;
	u32 at, end, posted;

	if (io->count > CACHE_HIT_BLOCKS || !cache_index_any(disk, io->block, io->count)) {
		cache_count(disk, misses, io->count);
		return false;
	}
	posted = post_all(io, misses);
	cache_count(disk, misses, io->count - posted);
	if (!posted)
		return false;
	if (posted == io->count)
		cache_count(disk, reads_full, 1);
	else
		cache_count(disk, reads_partial, 1);
	for (at = find_first_bit(misses, io->count); at < io->count;
	     at = find_next_bit(misses, io->count, end)) {
		end = find_next_zero_bit(misses, io->count, at);
		atomic_inc(&io->pending);
		read_part(io, at, end - at);
	}
	cache_part_done(io, BLK_STS_OK);
	return true;
}

int cache_hit_init(void)
{
	get_cache = KMEM_CACHE(cache_get, 0);
	get_pool = get_cache ? mempool_create_slab_pool(CACHE_HIT_BLOCKS, get_cache) : NULL;
	if (get_pool)
		return 0;
	kmem_cache_destroy(get_cache);
	return -ENOMEM;
}

void cache_hit_exit(void)
{
	mempool_destroy(get_pool);
	kmem_cache_destroy(get_cache);
}
