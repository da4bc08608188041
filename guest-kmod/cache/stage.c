// SPDX-License-Identifier: GPL-2.0-only
/*
 * Puts that found no room: reclaim evicts in bursts, faster than slots come back. Their pages are
 * copied and wait here, with their records, until the core has room; then they are put as if they
 * were evicted now: a record that a write has made void meanwhile is refused like any other. Until
 * then the pool does not have them, so that nobody asks for them.
 *
 * Allocated at load. Context: any. Lock order: stage_lock is innermost, alone.
 */
#define pr_fmt(fmt) "tmem_cache: " fmt
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "cache.h"

#define PAGES_MIN 64u
#define PAGES_MAX 1024u

struct staged {
	struct list_head link;
	struct page *page;
	u64 record;
};

static struct staged *stage;
static unsigned int stage_size;
static LIST_HEAD(empty);
static LIST_HEAD(waiting); /* oldest first */
static DEFINE_SPINLOCK(stage_lock);

static struct staged *take(struct list_head *list)
{
	struct staged *staged;
	unsigned long flags;

	spin_lock_irqsave(&stage_lock, flags);
	staged = list_first_entry_or_null(list, struct staged, link);
	if (staged)
		list_del(&staged->link);
	spin_unlock_irqrestore(&stage_lock, flags);
	return staged;
}

static void give(struct staged *staged, struct list_head *list, bool first)
{
	unsigned long flags;

	spin_lock_irqsave(&stage_lock, flags);
	if (first)
		list_add(&staged->link, list);
	else
		list_add_tail(&staged->link, list);
	spin_unlock_irqrestore(&stage_lock, flags);
}

/* False: no room here either. */
bool cache_stage_put(u64 record, struct page *page)
{
	struct staged *staged = take(&empty);

	if (!staged)
		return false;
	copy_highpage(staged->page, page);
	staged->record = record;
	give(staged, &waiting, false);
	return true;
}

/*
 * There is room: put what waits, `most` pages or until there is none. A page can come here after
 * the core told of the room that it was refused; so each put that is not refused brings one along.
 */
void cache_stage_run(unsigned int most)
{
	struct staged *staged;

	while (most-- && !list_empty(&waiting) && (staged = take(&waiting)) != NULL) {
		struct cache_disk *disk =
			cache_disk_get_numbered(cache_record_number(staged->record));
		int err = 0;

		if (disk) {
			err = cache_index_put(disk, staged->record, staged->page);
			if (err && err != -EAGAIN)
				cache_count(disk, puts_no_room, 1);
			percpu_ref_put(&disk->users);
		}
		if (err == -EAGAIN) {
			give(staged, &waiting, true);
			return;
		}
		give(staged, &empty, true);
	}
}

int cache_stage_init(void)
{
	unsigned int pages = cache_stage_pages;

	if (!pages)
		pages = clamp_t(unsigned long, totalram_pages() / 128, PAGES_MIN, PAGES_MAX);
	stage = kvcalloc(pages, sizeof(*stage), GFP_KERNEL);
	if (!stage)
		return -ENOMEM;
	for (stage_size = 0; stage_size < pages; stage_size++) {
		struct staged *staged = &stage[stage_size];

		staged->page = alloc_page(GFP_KERNEL);
		if (!staged->page) {
			cache_stage_exit();
			return -ENOMEM;
		}
		list_add_tail(&staged->link, &empty);
	}
	return 0;
}

void cache_stage_exit(void)
{
	while (stage_size)
		__free_page(stage[--stage_size].page);
	kvfree(stage);
}
