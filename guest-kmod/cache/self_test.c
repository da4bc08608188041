// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test that the hook must pass before a disk is cached: bios submitted as file systems do
 * must come by the hook. Nothing on the disk is changed by them:
 *
 *   a read of the first block        must also come by the tracepoint that guards the hook
 *   an empty write with PREFLUSH     a flush
 *   a zone reset of the first block  an operation that changes the disk; the block layer refuses it
 *                                    after the hook, since zoned disks are not cached
 *
 * Context: process.
 */
#define pr_fmt(fmt) "tmem_cache: " fmt
#include "cache.h"

/*
 * What saw the bio. It must be submitted by the kernel's text: submit_bio() may end in a jump to
 * submit_bio_noacct(), so that our own return address would be taken for cache_pass().
 */
static unsigned int probe(struct cache_disk *disk, struct bio *bio)
{
	disk->probe_seen = 0;
	WRITE_ONCE(disk->probe, bio);
	submit_bio_wait(bio);
	WRITE_ONCE(disk->probe, NULL);
	return disk->probe_seen;
}

static bool see(struct cache_disk *disk, struct block_device *bdev, blk_opf_t operation,
		struct page *page, unsigned int bytes, unsigned int by)
{
	struct bio *bio = bio_alloc(bdev, 1, operation, GFP_KERNEL);
	unsigned int seen;

	if (page)
		__bio_add_page(bio, page, bytes, 0);
	else
		bio->bi_iter.bi_size = bytes;
	seen = probe(disk, bio);
	bio_put(bio);
	if ((seen & by) == by)
		return true;
	pr_err("%pg: self-test: operation %u was seen by %#x, not %#x: writes could be missed\n",
	       bdev, (__force unsigned int)(operation & REQ_OP_MASK), seen, by);
	return false;
}

int cache_self_test(struct cache_disk *disk, struct block_device *bdev)
{
	struct page *page = alloc_page(GFP_KERNEL);
	bool good;

	if (!page)
		return -ENOMEM;
	good = see(disk, bdev, REQ_OP_READ, page, PAGE_SIZE,
		   CACHE_PROBE_HOOKED | CACHE_PROBE_TRACED);
	good &= see(disk, bdev, REQ_OP_WRITE | REQ_PREFLUSH, NULL, 0, CACHE_PROBE_HOOKED);
	good &= see(disk, bdev, REQ_OP_ZONE_RESET, NULL, PAGE_SIZE, CACHE_PROBE_HOOKED);
	__free_page(page);
	return good ? 0 : -ENXIO;
}
