// SPDX-License-Identifier: GPL-2.0-only
/*
 * The index: one bit for each block of a disk, set while the pool is thought to hold its page, so
 * that a miss asks nobody. Exact and allocated when the disk is enabled: 32 KiB per GiB of disk.
 *
 * Whatever decides about a block and posts it (put, get, invalidation) does so under the lock of the
 * block's object; posts of an object are in one queue, so the pool sees them in the lock's order.
 * Generation check, put and bit are one step; generation move, bit and flush are one step.
 * A flush that finds no room is left out: the bit is clear, so that the page is not asked for, and
 * the next put of the block replaces it.
 *
 * Context: any, but cache_index_forget(), which sleeps. Lock order: see cache.h.
 */
#include <linux/bitmap.h>
#include <linux/vmalloc.h>
#include "cache.h"

static spinlock_t *lock_of(struct cache_disk *disk, u64 block)
{
	return &disk->locks[(block / CACHE_OBJECT_BLOCKS) % CACHE_STRIPES];
}

static struct tmem_key key_of(const struct cache_disk *disk, u64 block)
{
	return (struct tmem_key){ .oid = { disk->id, block / CACHE_OBJECT_BLOCKS, 1 },
				  .index = block % CACHE_OBJECT_BLOCKS };
}

int cache_index_init(struct cache_disk *disk, sector_t sectors)
{
	unsigned int i;

	for (i = 0; i < CACHE_STRIPES; i++)
		spin_lock_init(&disk->locks[i]);
	disk->blocks = min_t(u64, sectors / CACHE_BLOCK_SECTORS, CACHE_BLOCKS_MAX);
	if (disk->blocks / 8 / 1024 > cache_index_limit_kib)
		return -EFBIG;
	disk->present = vzalloc(round_up(disk->blocks, CACHE_OBJECT_BLOCKS) / 8 + sizeof(long));
	return disk->present ? 0 : -ENOMEM;
}

void cache_index_free(struct cache_disk *disk)
{
	vfree(disk->present);
}

bool cache_index_has(const struct cache_disk *disk, u64 block)
{
	return block < disk->blocks && test_bit(block, disk->present);
}

bool cache_index_any(const struct cache_disk *disk, u64 block, u32 count)
{
	u64 end = min_t(u64, block + count, disk->blocks);

	return block < end && find_next_bit(disk->present, end, block) < end;
}

/* 0: put, or not to be put any more. -EAGAIN: no room now; -ENOTCONN: no pool. */
int cache_index_put(struct cache_disk *disk, u64 record, struct page *page)
{
	u64 block = cache_record_block(record);
	struct tmem_key key = key_of(disk, block);
	unsigned long flags;
	int err = 0;

	if (block >= disk->blocks)
		return 0;
	spin_lock_irqsave(lock_of(disk, block), flags);
	if (READ_ONCE(disk->state) != CACHE_ON ||
	    (!cache_generation_is(disk, record) && !cache_fault(no_generation))) {
		cache_count(disk, puts_stale, 1);
	} else {
		err = tmem_put_and_forget(cache_pool, &key, page, 0);
		if (!err) {
			__set_bit(block, disk->present);
			cache_count(disk, puts, 1);
		}
	}
	spin_unlock_irqrestore(lock_of(disk, block), flags);
	return err;
}

/* A get takes the page out of the pool, so its bit goes with the post. False: not posted. */
bool cache_index_get(struct cache_disk *disk, u64 block, struct cache_get *get)
{
	unsigned long flags;
	bool posted = false;

	get->io.key = key_of(disk, block);
	spin_lock_irqsave(lock_of(disk, block), flags);
	if (READ_ONCE(disk->state) == CACHE_ON && cache_index_has(disk, block)) {
		posted = !tmem_get(&get->io, TMEM_IO_WAIT);
		if (posted)
			__clear_bit(block, disk->present);
		else
			cache_count(disk, gets_no_room, 1);
	}
	spin_unlock_irqrestore(lock_of(disk, block), flags);
	return posted;
}

/* The bits of [block, end), all in one object, whose lock is held. */
static void flush_present(struct cache_disk *disk, u64 block, u64 end)
{
	bool whole = end - block == CACHE_OBJECT_BLOCKS;
	unsigned int pages = 0, left = 0;
	u64 at;

	for (at = find_next_bit(disk->present, end, block); at < end;
	     at = find_next_bit(disk->present, end, at + 1)) {
		struct tmem_key key = key_of(disk, at);

		__clear_bit(at, disk->present);
		pages++;
		if (!whole && tmem_flush_page(cache_pool, &key))
			left++;
	}
	if (pages && whole && tmem_flush_object(cache_pool, key_of(disk, block).oid))
		left = pages;
	if (pages)
		cache_count(disk, invalidations, pages);
	if (left)
		cache_count(disk, flushes_no_room, left);
}

void cache_index_invalidate(struct cache_disk *disk, u64 block, u32 count)
{
	u64 end = block + count;

	while (block < end) {
		u64 stop = min(end, round_down(block, CACHE_OBJECT_BLOCKS) + CACHE_OBJECT_BLOCKS);
		unsigned long flags;

		spin_lock_irqsave(lock_of(disk, block), flags);
		cache_generations_move(disk, block, stop - block);
		if (block < disk->blocks && !cache_fault(no_invalidate))
			flush_present(disk, block, min(stop, disk->blocks));
		spin_unlock_irqrestore(lock_of(disk, block), flags);
		block = stop;
	}
}

/* The pool did not take this put. */
void cache_index_clear(struct cache_disk *disk, const struct tmem_key *key)
{
	u64 block = key->oid[1] * CACHE_OBJECT_BLOCKS + key->index;
	unsigned long flags;

	if (block >= disk->blocks)
		return;
	spin_lock_irqsave(lock_of(disk, block), flags);
	__clear_bit(block, disk->present);
	spin_unlock_irqrestore(lock_of(disk, block), flags);
}

/* What is put meanwhile stays, unless the disk's state forbids it: the caller's matter. */
void cache_index_forget(struct cache_disk *disk)
{
	u64 block;

	for (block = 0; block < disk->blocks; block += CACHE_OBJECT_BLOCKS) {
		spin_lock_irq(lock_of(disk, block));
		bitmap_zero(disk->present + BIT_WORD(block), CACHE_OBJECT_BLOCKS);
		spin_unlock_irq(lock_of(disk, block));
		cond_resched();
	}
}
