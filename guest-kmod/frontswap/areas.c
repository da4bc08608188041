// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which slots belong to which swap area.
 *
 * The table of slots has a fixed size. An area gets a run of it at its first page, since the kernel
 * does not tell of areas that were active before this module; when it is switched off, its run is free
 * again. An area that finds no room, or whose reads the guard cannot see, is left to its disk.
 *
 * Context: any. area_lock guards the table's division; a run stays until its area is off, when
 * nobody asks for its slots any more.
 */
#define pr_fmt(fmt) "tmem_frontswap: " fmt
#include "frontswap.h"

/* Areas that are read by other ways than a bio of their own. */
#define UNGUARDED (SWP_SYNCHRONOUS_IO | SWP_FS_OPS)

struct area {
	u32 first;
	u32 count; /* 0: none; published last */
	bool refused;
};

static struct area areas[MAX_SWAPFILES];
static DEFINE_SPINLOCK(area_lock);

u32 area_slot(unsigned int type, pgoff_t offset)
{
	/* Pairs with the release in claim(). */
	u32 count = smp_load_acquire(&areas[type].count);

	return offset < count ? areas[type].first + offset : NO_SLOT;
}

/* The end of a run that overlaps the given one, or 0. area_lock held. */
static u32 overlapped_until(u32 first, u32 count)
{
	unsigned int type;

	for (type = 0; type < MAX_SWAPFILES; type++) {
		u32 end = areas[type].first + areas[type].count;

		if (areas[type].count && first < end && areas[type].first < first + count)
			return end;
	}
	return 0;
}

/* area_lock held. */
static void claim(unsigned int type)
{
	const struct swap_info_struct *area = symbols.swap_info[type];
	u32 count = READ_ONCE(area->max);
	u32 first = 0, end;

	if (READ_ONCE(area->flags) & UNGUARDED) {
		areas[type].refused = true;
		pr_warn("swap area %u does synchronous I/O or is a network file: left alone\n",
			type);
		return;
	}
	while (count <= frontswap.slots - first) {
		end = overlapped_until(first, count);
		if (!end) {
			areas[type].first = first;
			/* Whoever sees the count sees the first slot. */
			smp_store_release(&areas[type].count, count);
			return;
		}
		first = end;
	}
	areas[type].refused = true;
	pr_warn("swap area %u of %u MiB has no room: load with a larger size_mb\n", type,
		count >> (20 - PAGE_SHIFT));
}

u32 area_slot_claim(unsigned int type, pgoff_t offset)
{
	unsigned long flags;

	if (!READ_ONCE(areas[type].count) && !READ_ONCE(areas[type].refused)) {
		spin_lock_irqsave(&area_lock, flags);
		if (!areas[type].count && !areas[type].refused)
			claim(type);
		spin_unlock_irqrestore(&area_lock, flags);
	}
	return area_slot(type, offset);
}

void area_run(unsigned int type, u32 *first, u32 *count)
{
	unsigned long flags;

	spin_lock_irqsave(&area_lock, flags);
	*first = areas[type].first;
	*count = areas[type].count;
	spin_unlock_irqrestore(&area_lock, flags);
}

void area_release(unsigned int type)
{
	unsigned long flags;

	spin_lock_irqsave(&area_lock, flags);
	areas[type].refused = false;
	WRITE_ONCE(areas[type].count, 0);
	spin_unlock_irqrestore(&area_lock, flags);
}

u64 areas_active_pages(void)
{
	unsigned int type;
	u64 pages = 0;

	for (type = 0; type < MAX_SWAPFILES; type++) {
		const struct swap_info_struct *area = READ_ONCE(symbols.swap_info[type]);

		if (area && READ_ONCE(area->flags) & SWP_WRITEOK)
			pages += READ_ONCE(area->max);
	}
	return pages;
}
