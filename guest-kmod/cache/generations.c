// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generations: a counter for each block, hashed; the blocks of one object stay neighbours, so that
 * a bio's blocks have different counters. Moved when a write is submitted and when it has completed.
 * Added to it, the disk number's epoch: moving that ends all records of the disk at once.
 *
 * Counters only grow, so equal sums over the same blocks mean that none moved. Atomics, no lock;
 * the order against puts is index.c's.
 */
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include "cache.h"

#define ROWS_BITS_MIN 6
#define ROWS_BITS_MAX 10

static atomic_t *counters; /* rows of CACHE_OBJECT_BLOCKS */
static unsigned int row_bits;
static atomic_t epochs[CACHE_NUMBERS];

static atomic_t *counter_of(const struct cache_disk *disk, u64 block)
{
	u64 object = block / CACHE_OBJECT_BLOCKS;
	u32 row = hash_64(object | (u64)disk->number << 40, row_bits);

	return &counters[row * CACHE_OBJECT_BLOCKS + block % CACHE_OBJECT_BLOCKS];
}

u32 cache_generation(const struct cache_disk *disk, u64 block)
{
	return (u32)atomic_read(counter_of(disk, block)) + (u32)atomic_read(&epochs[disk->number]);
}

bool cache_generation_is(const struct cache_disk *disk, u64 record)
{
	u32 now = cache_generation(disk, cache_record_block(record));

	return !((now ^ (u32)record) & CACHE_GENERATION_MASK);
}

u64 cache_generation_sum(const struct cache_disk *disk, u64 block, u32 count)
{
	u64 sum = 0;

	while (count--)
		sum += cache_generation(disk, block++);
	return sum;
}

void cache_generations_move(const struct cache_disk *disk, u64 block, u32 count)
{
	while (count--)
		atomic_inc(counter_of(disk, block++));
}

void cache_generations_end(const struct cache_disk *disk)
{
	atomic_inc(&epochs[disk->number]);
}

/* One counter for four pages of memory: 64 Ki .. 1 Mi counters. */
int cache_generations_init(void)
{
	unsigned int bits = ilog2(totalram_pages() / 4 + 1) + 1;

	row_bits = clamp_t(int, (int)bits - ilog2(CACHE_OBJECT_BLOCKS), ROWS_BITS_MIN, ROWS_BITS_MAX);
	counters = vzalloc((sizeof(*counters) * CACHE_OBJECT_BLOCKS) << row_bits);
	return counters ? 0 : -ENOMEM;
}

void cache_generations_exit(void)
{
	vfree(counters);
}
