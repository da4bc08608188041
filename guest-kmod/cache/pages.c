// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages may be put: those of regular files of ext4 (also as ext3, ext2) and xfs, on a disk
 * that is cached, whose bytes are the block's bytes.
 *
 * Not: files with blocks smaller than a page (truncation frees the blocks behind the end and zeroes
 * their part of a clean page in memory only), encrypted files (the page is plain text, the block is
 * not), DAX, ext4 with data=journal (the block lags behind the page), block devices and metadata,
 * and file systems that nobody proved: btrfs has no block device of its own (s_bdev), and is told of
 * once.
 * Of cluster file systems another host may write the disk: the first eviction of one turns the
 * disk's cache off, unless its owner insisted.
 *
 * Context: atomic, in the eviction tracepoint.
 */
#define pr_fmt(fmt) "tmem_cache: " fmt
#include <linux/fs.h>
#include <linux/pagemap.h>
#include "cache.h"

atomic_long_t cache_btrfs_evictions;

static const char *const cluster_types[] = { "gfs2", "gfs2meta", "ocfs2" };

/* Verdicts on the file systems' tables of operations, told apart by the name of one function. */
static struct {
	const struct address_space_operations *ops;
	bool cacheable;
} verdicts[8];
static DEFINE_SPINLOCK(verdicts_lock);

static bool known_operations(const struct address_space_operations *ops, bool xfs)
{
	char name[64];

	snprintf(name, sizeof(name), "%ps", ops->dirty_folio);
	name[strcspn(name, " +")] = '\0';
	if (!xfs)
		return !strcmp(name, "ext4_dirty_folio");
	return !strcmp(name, "filemap_dirty_folio") || !strcmp(name, "iomap_dirty_folio");
}

static bool verdict_on(const struct address_space_operations *ops, bool xfs)
{
	unsigned long flags;
	bool cacheable;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(verdicts); i++) {
		/* The verdict is read after the table's address. */
		const struct address_space_operations *seen = smp_load_acquire(&verdicts[i].ops);

		if (seen == ops)
			return verdicts[i].cacheable;
		if (!seen)
			break;
	}
	cacheable = known_operations(ops, xfs);
	spin_lock_irqsave(&verdicts_lock, flags);
	for (i = 0; i < ARRAY_SIZE(verdicts) && verdicts[i].ops; i++)
		;
	if (i < ARRAY_SIZE(verdicts)) {
		verdicts[i].cacheable = cacheable;
		/* The verdict is out before the address. */
		smp_store_release(&verdicts[i].ops, ops);
	}
	spin_unlock_irqrestore(&verdicts_lock, flags);
	return cacheable;
}

static bool is_cluster(const char *type)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cluster_types); i++)
		if (!strcmp(type, cluster_types[i]))
			return true;
	return false;
}

static void tell_of_btrfs(const char *type)
{
	if (strcmp(type, "btrfs"))
		return;
	if (atomic_long_inc_return(&cache_btrfs_evictions) == 1)
		pr_info("btrfs is in use: its files are not cached (it has no single block device)\n");
}

/* May these pages be put, and for which disk? The disk lives as long as preemption is disabled. */
bool cache_folio_cacheable(struct folio *folio, struct cache_disk **found)
{
	const struct inode *inode = folio->mapping->host;
	struct cache_disk *disk;
	const char *type;
	bool xfs;

	if (!inode || !S_ISREG(inode->i_mode))
		return false;
	type = inode->i_sb->s_type->name;
	if (!inode->i_sb->s_bdev) {
		tell_of_btrfs(type);
		return false;
	}
	disk = cache_disk_of(inode->i_sb->s_bdev->bd_disk);
	if (!disk)
		return false;
	xfs = !strcmp(type, "xfs");
	if ((xfs || !strncmp(type, "ext", 3)) && inode->i_blkbits >= PAGE_SHIFT &&
	    !IS_ENCRYPTED(inode) && !IS_DAX(inode) && verdict_on(folio->mapping->a_ops, xfs)) {
		*found = disk;
		return true;
	}
	cache_count(disk, evictions_unsupported, folio_nr_pages(folio));
	if (is_cluster(type) && !disk->forced)
		cache_disk_off(disk, "a cluster file system is on it");
	return false;
}

/* Is this the destination of a read of the page cache? Such a folio is locked, new and not filled. */
bool cache_page_is_read(struct page *page)
{
	struct folio *folio = page_folio(page);

	return folio_test_locked(folio) && !folio_test_uptodate(folio) && !folio_test_dirty(folio) &&
	       !folio_test_swapcache(folio) && folio_mapping(folio);
}
