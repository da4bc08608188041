// SPDX-License-Identifier: GPL-2.0-only
/*
 * Spot checks: of cache_spot_percent % of the hits the block is read from the disk as well. If they
 * differ and the block was not written meanwhile, the bio gets the disk's bytes and the disk's cache
 * is in doubt: no more hits. A write that was in flight all the time would explain it; so after
 * DOUBT_MS the generation is asked once more. If it did not move, the cache goes off, loudly.
 *
 * Context: the check is started in cache_queue and ends where bios complete.
 */
#define pr_fmt(fmt) "tmem_cache: " fmt
#include <linux/mempool.h>
#include <linux/slab.h>
#include "cache.h"

#define DOUBT_MS 5000

static mempool_t *copies;

static void start(struct work_struct *work);
static LLIST_HEAD(checks);
static DECLARE_WORK(check_work, start);

/* Spread evenly, on each CPU. */
bool cache_spot_wanted(void)
{
	static DEFINE_PER_CPU(unsigned int, hits);
	unsigned int percent = READ_ONCE(cache_spot_percent);

	return percent && (this_cpu_inc_return(hits) * percent) % 100 < percent;
}

void cache_spot_check(struct cache_get *get)
{
	if (llist_add(&get->node, &checks))
		queue_work(cache_queue, &check_work);
}

static void read_disk(struct cache_get *get)
{
	struct bio *of = get->parent->bio;
	struct bio *bio = bio_alloc_bioset(of->bi_bdev, 1, REQ_OP_READ, GFP_NOIO, &cache_bios);

	get->copy = mempool_alloc(copies, GFP_NOIO);
	bio->bi_iter.bi_sector = of->bi_iter.bi_sector + get->at * CACHE_BLOCK_SECTORS;
	if (bio_flagged(of, BIO_REMAPPED))
		bio_set_flag(bio, BIO_REMAPPED);
	__bio_add_page(bio, get->copy, PAGE_SIZE, 0);
	bio->bi_end_io = cache_spot_end;
	bio->bi_private = get;
	get->parent->disk->pass(bio);
}

/*
 * One page of each is in use at a time at least, and the others end by themselves, so that waiting
 * for memory ends.
 */
static void start(struct work_struct *work)
{
	struct cache_get *get, *next;

	llist_for_each_entry_safe(get, next, llist_del_all(&checks), node)
		read_disk(get);
}

static void doubt(struct cache_get *get, u32 generation)
{
	struct cache_disk *disk = get->parent->disk;

	if (cmpxchg(&disk->state, CACHE_ON, CACHE_DOUBT) != CACHE_ON)
		return;
	disk->doubt_block = get->parent->block + get->at;
	disk->doubt_generation = generation;
	percpu_ref_get(&disk->users);
	queue_delayed_work(system_unbound_wq, &disk->doubt_work, msecs_to_jiffies(DOUBT_MS));
}

static void compare(struct cache_get *get)
{
	struct cache_io *io = get->parent;
	void *page = page_address(get->io.page), *copy = page_address(get->copy);
	u32 generation;

	cache_count(io->disk, spot_checks, 1);
	if (!memcmp(page, copy, PAGE_SIZE))
		return;
	copy_page(page, copy);
	/* Before the sum: a write after that must be seen to have moved it. */
	generation = cache_generation(io->disk, io->block + get->at);
	if (cache_generation_sum(io->disk, io->block, io->count) == io->generations)
		doubt(get, generation);
	else
		cache_count(io->disk, spot_unclear, 1);
}

void cache_spot_end(struct bio *bio)
{
	struct cache_get *get = bio->bi_private;

	/* A disk that cannot be read proves nothing. */
	if (bio->bi_status == BLK_STS_OK)
		compare(get);
	mempool_free(get->copy, copies);
	bio_put(bio);
	cache_get_finish(get, BLK_STS_OK);
}

void cache_spot_verdict(struct work_struct *work)
{
	struct cache_disk *disk = container_of(work, struct cache_disk, doubt_work.work);

	if (cache_generation(disk, disk->doubt_block) != disk->doubt_generation) {
		cache_count(disk, spot_unclear, 1);
		/* Never on in between: what is in the pool is not explained. */
		if (cmpxchg(&disk->state, CACHE_DOUBT, CACHE_FLUSHING) == CACHE_DOUBT) {
			pr_info_ratelimited("%s: flushed: unclear spot check\n",
					    disk->gendisk->disk_name);
			cache_disk_flush(disk, "unclear spot check");
		}
	} else {
		cache_count(disk, spot_mismatches, 1);
		pr_err("%s: block %llu in the pool differed from the disk\n",
		       disk->gendisk->disk_name, disk->doubt_block);
		cache_disk_off(disk, "a spot check found a difference");
	}
	percpu_ref_put(&disk->users);
}

int cache_spot_init(void)
{
	copies = mempool_create_page_pool(16, 0);
	return copies ? 0 : -ENOMEM;
}

void cache_spot_exit(void)
{
	mempool_destroy(copies);
}
