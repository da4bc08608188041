// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of page-cache pages, by the kernel's tracepoints:
 *
 *   mm_filemap_delete_from_page_cache  with its reference count frozen to 0, the folio is being
 *       reclaimed: complete, clean, nobody else's. That is a put, if pages.c does not object.
 *       With references it is truncated or invalidated. Both end the record.
 *   writeback_dirty_folio, mm_page_free  end the record.
 *   block_bio_queue  ftrace_hook.c's check that no write was missed.
 *
 * Context: atomic; evictions with interrupts off under i_lock and i_pages. Probes run with
 * preemption disabled, which keeps disks alive (RCU). A folio's puts are limited, since interrupts
 * are off meanwhile: cache_folio_pages, and as many that had waited for room.
 */
#define pr_fmt(fmt) "tmem_cache: " fmt
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/tracepoint.h>
#include "cache.h"

static void put(struct cache_disk *disk, u64 record, struct page *page)
{
	int err = cache_index_put(disk, record, page);

	if (!err)
		cache_stage_run(1);
	else if (err == -EAGAIN && cache_stage_put(record, page))
		cache_count(disk, puts_staged, 1);
	else
		cache_count(disk, puts_no_room, 1);
}

static void put_folio(struct cache_disk *disk, struct folio *folio)
{
	unsigned long pages = folio_nr_pages(folio), i, puts = 0;

	for (i = 0; i < pages; i++) {
		u64 record = cache_record_take(folio_pfn(folio) + i);

		if (cache_record_number(record) != disk->number)
			continue;
		if (puts++ < READ_ONCE(cache_folio_pages))
			put(disk, record, folio_page(folio, i));
		else
			cache_count(disk, puts_over_limit, 1);
	}
}

static void probe_delete(void *data, struct folio *folio)
{
	struct cache_disk *disk;

	if (!folio_ref_count(folio) && !folio_test_dirty(folio) && folio_test_uptodate(folio) &&
	    folio->mapping && cache_folio_cacheable(folio, &disk))
		put_folio(disk, folio);
	else
		cache_records_drop(folio_pfn(folio), folio_nr_pages(folio));
}

static void probe_dirty(void *data, struct folio *folio, struct address_space *mapping)
{
	cache_records_drop(folio_pfn(folio), folio_nr_pages(folio));
}

static void probe_free(void *data, struct page *page, unsigned int order)
{
	if (!cache_fault(keep_on_free))
		cache_records_drop(page_to_pfn(page), 1ul << order);
}

static struct {
	const char *name;
	void *probe;
	struct tracepoint *point;
} points[] = {
	/* In this order: what ends records before what uses them. */
	{ "mm_page_free", probe_free },
	{ "writeback_dirty_folio", probe_dirty },
	{ "mm_filemap_delete_from_page_cache", probe_delete },
	{ "block_bio_queue", cache_probe_queue },
};

static void find(struct tracepoint *point, void *data)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (!strcmp(point->name, points[i].name))
			points[i].point = point;
}

int cache_probes_find(void)
{
	unsigned int i;

	for_each_kernel_tracepoint(find, NULL);
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		if (points[i].point)
			continue;
		pr_err("this kernel has no tracepoint %s\n", points[i].name);
		return -ENOENT;
	}
	return 0;
}

/* Once; they stay, and with them the module. Under cache_mutex. */
int cache_probes_register(void)
{
	static unsigned int registered;

	/* Fails while the module is being unloaded. */
	if (!registered && !try_module_get(THIS_MODULE))
		return -ENODEV;
	for (; registered < ARRAY_SIZE(points); registered++) {
		int err = tracepoint_probe_register(points[registered].point,
						    points[registered].probe, NULL);

		if (err) {
			pr_err("tracepoint %s: error %d\n", points[registered].name, err);
			return err;
		}
	}
	return 0;
}
