// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records: what disk block a page frame's bytes equal. One u64 a frame: disk number (4 bits), block
 * (32), generation (28); 0 is none. In chunks of one memory section, made when memory comes online.
 *
 * No lock: a record is set by who completes the page's I/O (page locked or under writeback) and
 * taken by an exchange. Chunks are published once and stay.
 */
#define pr_fmt(fmt) "tmem_cache: " fmt
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include "cache.h"

#define CHUNK_FRAMES PAGES_PER_SECTION
/* Room for memory that comes later: 1 TiB, or four times what there is. */
#define FRAMES_MIN (1ull << (40 - PAGE_SHIFT))

static u64 **chunks;
static unsigned long chunk_count;

static u64 *record_of(unsigned long pfn)
{
	unsigned long at = pfn / CHUNK_FRAMES;
	/* The chunk's zeroes are read after its address. */
	u64 *chunk = at < chunk_count ? smp_load_acquire(&chunks[at]) : NULL;

	return chunk ? &chunk[pfn % CHUNK_FRAMES] : NULL;
}

void cache_record_set(struct page *page, const struct cache_disk *disk, u64 block, u32 generation)
{
	u64 *record = record_of(page_to_pfn(page));

	if (record && block < CACHE_BLOCKS_MAX)
		WRITE_ONCE(*record, (u64)disk->number << 60 | block << 28 |
					    (generation & CACHE_GENERATION_MASK));
}

u64 cache_record_take(unsigned long pfn)
{
	u64 *record = record_of(pfn);

	if (!record || !READ_ONCE(*record))
		return 0;
	return xchg(record, 0);
}

void cache_records_drop(unsigned long pfn, unsigned long pages)
{
	while (pages--)
		cache_record_take(pfn++);
}

/* Memory without records is memory whose pages are not cached: no reason to keep it offline. */
static void cover(unsigned long pfn, unsigned long end)
{
	unsigned long at;

	for (at = pfn / CHUNK_FRAMES; at < DIV_ROUND_UP(end, CHUNK_FRAMES); at++) {
		u64 *chunk;

		if (at >= chunk_count || chunks[at])
			continue;
		chunk = vzalloc(CHUNK_FRAMES * sizeof(u64));
		if (!chunk)
			pr_warn_once("no memory for records; some pages will not be cached\n");
		/* Its zeroes are out before its address. */
		smp_store_release(&chunks[at], chunk);
	}
}

static int memory_comes(struct notifier_block *self, unsigned long action, void *data)
{
	const struct memory_notify *what = data;

	if (action == MEM_GOING_ONLINE)
		cover(what->start_pfn, what->start_pfn + what->nr_pages);
	return NOTIFY_OK;
}

static struct notifier_block memory_notifier = { .notifier_call = memory_comes };

int cache_records_init(void)
{
	unsigned long end = 0, pfn;
	int node, err;

	for_each_online_node(node)
		end = max(end, node_end_pfn(node));
	chunk_count = DIV_ROUND_UP(max_t(u64, FRAMES_MIN, 4 * (u64)end), CHUNK_FRAMES);
	chunks = vzalloc(array_size(chunk_count, sizeof(*chunks)));
	if (!chunks)
		return -ENOMEM;
	err = register_memory_notifier(&memory_notifier);
	if (err) {
		vfree(chunks);
		return err;
	}
	for (pfn = 0; pfn < end; pfn += CHUNK_FRAMES)
		if (pfn_to_online_page(pfn))
			cover(pfn, pfn + 1);
	return 0;
}

/* Only before the first probe is registered. */
void cache_records_exit(void)
{
	unsigned long at;

	unregister_memory_notifier(&memory_notifier);
	for (at = 0; at < chunk_count; at++)
		vfree(chunks[at]);
	vfree(chunks);
}
