// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages and grants of one queue, for one connection.
 *
 * A page that the daemon may still map is never used for anything else: its grant is ended first,
 * and when that fails the page goes to the `mapped` list, counted as leaked, until a later attempt
 * succeeds. Pages whose grant is ended are kept for the next connection, which may come in the
 * middle of memory pressure.
 *
 * Context: process; allocations are GFP_NOIO, as swap may wait for this very connection.
 * Lock: `spare_lock`, innermost.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <xen/events.h>
#include <xen/page.h>
#include "core.h"

#define GFP_RING (GFP_NOIO | __GFP_NOWARN)
#define REAP_MS 5000
#define SPARE_PAGES_MAX 4096u

struct mapped_page {
	struct list_head link;
	struct tmem_page granted;
};

static DEFINE_SPINLOCK(spare_lock);
static LIST_HEAD(spare);
static unsigned int spare_count;
static LIST_HEAD(mapped);

static struct page *page_get(void)
{
	struct page *page;

	spin_lock(&spare_lock);
	page = list_first_entry_or_null(&spare, struct page, lru);
	if (page) {
		list_del(&page->lru);
		spare_count--;
	}
	spin_unlock(&spare_lock);
	if (!page)
		return alloc_page(GFP_RING | __GFP_ZERO);
	clear_page(page_address(page));
	return page;
}

/* The grant is ended. A page with a second reference is a held slot: its holder frees it. */
static void page_put(struct page *page)
{
	bool kept = false;

	if (page_ref_count(page) == 1) {
		spin_lock(&spare_lock);
		if (spare_count < SPARE_PAGES_MAX) {
			list_add(&page->lru, &spare);
			spare_count++;
			kept = true;
		}
		spin_unlock(&spare_lock);
	}
	if (!kept)
		put_page(page);
}

/* The module goes: what is still mapped is left to the kernel's own deferred release. */
void tmem_spare_free(void)
{
	struct mapped_page *entry, *next_entry;
	struct page *page, *next;

	list_for_each_entry_safe(entry, next_entry, &mapped, link) {
		tmem_grant_end_with_page(entry->granted.ref, entry->granted.page);
		kfree(entry);
	}
	INIT_LIST_HEAD(&mapped);

	list_for_each_entry_safe(page, next, &spare, lru) {
		list_del(&page->lru);
		put_page(page);
	}
	spare_count = 0;
}

/* Without memory for the list entry the page is left to the kernel's own deferred release. */
static void page_still_mapped(const struct tmem_page *granted)
{
	struct mapped_page *entry = kmalloc(sizeof(*entry), GFP_RING);

	if (!entry) {
		tmem_grant_end_with_page(granted->ref, granted->page);
		return;
	}
	entry->granted = *granted;
	spin_lock(&spare_lock);
	list_add_tail(&entry->link, &mapped);
	spin_unlock(&spare_lock);
	core_count(CORE_LEAKED_PAGES);
	mod_delayed_work(tmem.worker, &tmem.reap, msecs_to_jiffies(REAP_MS));
}

void tmem_reap(struct work_struct *work)
{
	struct mapped_page *entry, *next;
	LIST_HEAD(try);
	bool left;

	spin_lock(&spare_lock);
	list_splice_init(&mapped, &try);
	spin_unlock(&spare_lock);
	list_for_each_entry_safe(entry, next, &try, link) {
		if (!gnttab_try_end_foreign_access(entry->granted.ref))
			continue;
		list_del(&entry->link);
		page_put(entry->granted.page);
		kfree(entry);
		atomic64_dec(&tmem.stats[CORE_LEAKED_PAGES]);
	}
	spin_lock(&spare_lock);
	list_splice(&try, &mapped);
	left = !list_empty(&mapped);
	spin_unlock(&spare_lock);
	if (left)
		queue_delayed_work(tmem.worker, &tmem.reap, msecs_to_jiffies(REAP_MS));
}

static int ring_grant(struct tmem_ring *ring, domid_t backend)
{
	u32 directory = ring->page_count - 1;
	grant_ref_t head;
	u32 i;

	if (gnttab_alloc_grant_references(ring->page_count, &head))
		return -ENOSPC;
	for (i = 0; i < ring->page_count; i++) {
		grant_ref_t ref = gnttab_claim_grant_reference(&head);

		gnttab_grant_foreign_access_ref(ref, backend, xen_page_to_gfn(ring->pages[i].page),
						i == directory);
		ring->pages[i].ref = ref;
	}
	gnttab_free_grant_references(head);
	return 0;
}

static int ring_pages(struct tmem_ring *ring)
{
	u32 ring_pages = 1u << ring->order;
	struct page **list;
	u32 i;

	for (i = 0; i < ring->page_count; i++) {
		ring->pages[i].page = page_get();
		if (!ring->pages[i].page)
			return -ENOMEM;
	}
	for (i = 0; i < ring->slots; i++)
		ring->slot_pages[i] = ring->pages[ring_pages + i].page;

	list = kcalloc(ring_pages, sizeof(*list), GFP_RING);
	if (!list)
		return -ENOMEM;
	for (i = 0; i < ring_pages; i++)
		list[i] = ring->pages[i].page;
	ring->map = vmap(list, ring_pages, VM_MAP, PAGE_KERNEL);
	kfree(list);
	if (!ring->map)
		return -ENOMEM;
	ring->control = ring->map;
	ring->requests = ring->map + TMEM_PAGE_BYTES;
	ring->responses = (void *)(ring->requests + ring->entries);
	return 0;
}

struct tmem_ring *tmem_ring_create(struct xenbus_device *device, u32 order, u32 slots)
{
	struct tmem_ring *ring = kzalloc(sizeof(*ring), GFP_RING);
	u32 *directory;
	int error;
	u32 i;

	BUILD_BUG_ON(PAGE_SIZE != TMEM_PAGE_BYTES);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	ring->order = order;
	ring->entries = tmem_ring_entries(order);
	ring->slots = slots;
	ring->page_count = (1u << order) + slots + 1;
	ring->pages = kvcalloc(ring->page_count, sizeof(*ring->pages), GFP_RING);
	ring->slot_pages = kvcalloc(slots, sizeof(*ring->slot_pages), GFP_RING);
	ring->inflight = kvcalloc(ring->entries, sizeof(*ring->inflight), GFP_RING);
	ring->free_slots = kvcalloc(slots, sizeof(*ring->free_slots), GFP_RING);
	error = -ENOMEM;
	if (!ring->pages || !ring->slot_pages || !ring->inflight || !ring->free_slots)
		goto fail;
	error = ring_pages(ring);
	if (error)
		goto fail;
	error = ring_grant(ring, device->otherend_id);
	if (error)
		goto fail;
	directory = page_address(ring->pages[ring->page_count - 1].page);
	for (i = 0; i < slots; i++)
		directory[i] = ring->pages[(1u << order) + i].ref;
	return ring;
fail:
	tmem_ring_destroy(ring);
	return ERR_PTR(error);
}

void tmem_ring_destroy(struct tmem_ring *ring)
{
	u32 i;

	if (!ring)
		return;
	if (ring->map)
		vunmap(ring->map);
	for (i = 0; ring->pages && i < ring->page_count; i++) {
		struct tmem_page *granted = &ring->pages[i];

		if (!granted->page)
			continue;
		if (!granted->ref || gnttab_try_end_foreign_access(granted->ref))
			page_put(granted->page);
		else
			page_still_mapped(granted);
	}
	kvfree(ring->pages);
	kvfree(ring->slot_pages);
	kvfree(ring->inflight);
	kvfree(ring->free_slots);
	kfree(ring);
}
