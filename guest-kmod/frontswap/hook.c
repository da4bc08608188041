// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's frontswap calls us.
 *
 * Up to 5.16 frontswap takes several backends and asks one after another. From 5.17 to 6.5 there is
 * one, the static pointer frontswap_ops, and zswap has it, enabled or not: it is taken over, and its
 * former owner is asked for what we refuse. A page is with one of them only: the kernel invalidates
 * a slot before it stores it again, and an invalidation goes to who has the page.
 *
 * Huge pages are left to the disk. Context: see frontswap.h.
 */
#define pr_fmt(fmt) "tmem_frontswap: " fmt
#include <linux/module.h>
#include "frontswap.h"

static const struct frontswap_ops *former; /* NULL: none; set before we are called */

static void hook_init(unsigned int type)
{
	if (former)
		former->init(type);
}

static int hook_store(unsigned int type, pgoff_t offset, struct page *page)
{
	u32 slot = PageTransHuge(page) ? NO_SLOT : area_slot_claim(type, offset);

	if (slot != NO_SLOT && !page_store(slot, page))
		return 0;
	frontswap_count(FRONTSWAP_STORES_PASSED);
	return former ? former->store(type, offset, page) : -1;
}

/* A failure makes the kernel read the disk, which the guard does not let it. */
static int hook_load(unsigned int type, pgoff_t offset, struct page *page)
{
	u32 slot = area_slot(type, offset);

	if (slot != NO_SLOT && page_is_ours(slot))
		return page_load(slot, page) ? -1 : 0;
	return former ? former->load(type, offset, page) : -1;
}

static void hook_invalidate_page(unsigned int type, pgoff_t offset)
{
	u32 slot = area_slot(type, offset);

	if (slot != NO_SLOT && page_free(slot))
		frontswap_count(FRONTSWAP_FREES);
	else if (former)
		former->invalidate_page(type, offset);
}

/* swapoff: nearly all slots are free already. */
static void hook_invalidate_area(unsigned int type)
{
	u32 first, count, i;

	area_run(type, &first, &count);
	for (i = 0; i < count; i++)
		page_free(first + i);
	area_release(type); /* another area may have the slots from here on */
	if (former)
		former->invalidate_area(type);
}

static TMEM_FRONTSWAP_CONST struct frontswap_ops ops = {
	.init = hook_init,
	.store = hook_store,
	.load = hook_load,
	.invalidate_page = hook_invalidate_page,
	.invalidate_area = hook_invalidate_area,
};

#if TMEM_FRONTSWAP_TAKEN
int hook_install(void)
{
	former = READ_ONCE(*symbols.ops);
	if (!former) {
		int error = symbols.register_ops(&ops);

		if (error)
			return error;
		pr_info("registered\n");
	} else {
		/* Both are complete; a call under way finishes with the former owner. */
		if (cmpxchg(symbols.ops, former, &ops) != former)
			return -EAGAIN;
		pr_info("taken over from %ps\n", former->store);
	}
	__module_get(THIS_MODULE);
	return 0;
}
#else
int hook_install(void)
{
	frontswap_register_ops(&ops);
	__module_get(THIS_MODULE);
	return 0;
}
#endif
