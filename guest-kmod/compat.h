/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between kernel versions, and nothing else.
 *
 * Built against 5.10 (core, frontswap, cleancache), 6.1 and 6.12. Branches for what lies between
 * follow the kernels' history and were not compiled.
 */
#ifndef TMEM_COMPAT_H
#define TMEM_COMPAT_H

#include <linux/blkdev.h>
#include <linux/timer.h>
#include <linux/version.h>

#define TMEM_KERNEL(major, minor) (LINUX_VERSION_CODE >= KERNEL_VERSION(major, minor, 0))

/* Timers were renamed: 6.2 (deletion), 6.16 (container). */
#if !TMEM_KERNEL(6, 2)
#define tmem_timer_delete_sync del_timer_sync
#else
#define tmem_timer_delete_sync timer_delete_sync
#endif
#if TMEM_KERNEL(6, 16)
#define tmem_from_timer timer_container_of
#else
#define tmem_from_timer from_timer
#endif

/* A disk, opened for reading to look at it: by holder and mode (6.1), holder operations (6.5), file (6.9). */
#if TMEM_KERNEL(6, 9)
#define tmem_bdev_handle struct file *
#define tmem_bdev_open(path) bdev_file_open_by_path(path, BLK_OPEN_READ, NULL, NULL)
#define tmem_bdev_of(handle) file_bdev(handle)
#define tmem_bdev_close(handle) fput(handle)
#elif TMEM_KERNEL(6, 5)
#define tmem_bdev_handle struct block_device *
#define tmem_bdev_open(path) blkdev_get_by_path(path, BLK_OPEN_READ, NULL, NULL)
#define tmem_bdev_of(handle) (handle)
#define tmem_bdev_close(handle) blkdev_put(handle, NULL)
#else
#define tmem_bdev_handle struct block_device *
#define tmem_bdev_open(path) blkdev_get_by_path(path, FMODE_READ, NULL)
#define tmem_bdev_of(handle) (handle)
#define tmem_bdev_close(handle) blkdev_put(handle, FMODE_READ)
#endif

/* Short mappings of a page: 5.11. */
#if !TMEM_KERNEL(5, 11)
#define kmap_local_page(page) kmap_atomic(page)
#define kunmap_local(address) kunmap_atomic(address)
#endif

/* A frontend: removal returns nothing (6.0); a guest that boots does not wait for it (5.16). */
#if TMEM_KERNEL(6, 0)
#define tmem_remove_result void
#define TMEM_REMOVE_RESULT
#else
#define tmem_remove_result int
#define TMEM_REMOVE_RESULT 0
#endif
#if TMEM_KERNEL(5, 16)
#define TMEM_NOT_ESSENTIAL .not_essential = true,
#else
#define TMEM_NOT_ESSENTIAL
#endif

/* The end of a grant, together with its page: by address until 6.0. */
#if TMEM_KERNEL(6, 1)
#define tmem_grant_end_with_page(ref, page) gnttab_end_foreign_access(ref, page)
#else
#define tmem_grant_end_with_page(ref, page)                                                        \
	gnttab_end_foreign_access(ref, 0, (unsigned long)page_address(page))
#endif

/* Frontswap: several backends until 5.16; one, and no way for modules, until 6.5; none since. */
#define TMEM_FRONTSWAP_TAKEN TMEM_KERNEL(5, 17)
#if TMEM_FRONTSWAP_TAKEN
#define TMEM_FRONTSWAP_CONST const
#else
#define TMEM_FRONTSWAP_CONST
#endif

/* What submit_bio() returns: a cookie (5.10), nothing (5.16). */
#if TMEM_KERNEL(5, 16)
#define tmem_submit_result void
#define TMEM_SUBMIT_RESULT
#else
#define tmem_submit_result blk_qc_t
#define TMEM_SUBMIT_RESULT BLK_QC_T_NONE
#endif

/* What ftrace gives its callbacks, and how it is asked not to call them inside of themselves: 5.11. */
#if TMEM_KERNEL(5, 11)
#define tmem_ftrace_regs struct ftrace_regs
#define tmem_ftrace_pt_regs(regs) ftrace_get_regs(regs)
#define TMEM_FTRACE_RECURSION FTRACE_OPS_FL_RECURSION
#else
#define tmem_ftrace_regs struct pt_regs
#define tmem_ftrace_pt_regs(regs) (regs)
#define TMEM_FTRACE_RECURSION 0
#endif

#if TMEM_KERNEL(5, 15)
/*
 * A disk of 4 KiB blocks on which swap waits for each page instead of reading ahead. What says so:
 * a rw_page operation (until 6.2), a queue flag (6.3), a queue limit (6.11).
 */
static inline struct gendisk *tmem_disk_alloc(bool synchronous)
{
#if TMEM_KERNEL(6, 9)
	struct queue_limits limits = {
		.logical_block_size = PAGE_SIZE,
		.physical_block_size = PAGE_SIZE,
		.io_min = PAGE_SIZE,
		.io_opt = PAGE_SIZE,
		.dma_alignment = PAGE_SIZE - 1,
		.max_hw_discard_sectors = UINT_MAX,
		.discard_granularity = PAGE_SIZE,
#if TMEM_KERNEL(6, 11)
		.features = BLK_FEAT_STABLE_WRITES | (synchronous ? BLK_FEAT_SYNCHRONOUS : 0),
#endif
	};
	struct gendisk *disk = blk_alloc_disk(&limits, NUMA_NO_NODE);

	if (IS_ERR(disk))
		return NULL;
#else
	struct gendisk *disk = blk_alloc_disk(NUMA_NO_NODE);

	if (!disk)
		return NULL;
	blk_queue_logical_block_size(disk->queue, PAGE_SIZE);
	blk_queue_physical_block_size(disk->queue, PAGE_SIZE);
	blk_queue_io_min(disk->queue, PAGE_SIZE);
	blk_queue_io_opt(disk->queue, PAGE_SIZE);
	blk_queue_dma_alignment(disk->queue, PAGE_SIZE - 1);
	blk_queue_max_discard_sectors(disk->queue, UINT_MAX);
	disk->queue->limits.discard_granularity = PAGE_SIZE;
#endif
#if !TMEM_KERNEL(6, 11)
	blk_queue_flag_set(QUEUE_FLAG_NONROT, disk->queue);
	blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, disk->queue);
#if TMEM_KERNEL(6, 3)
	if (synchronous)
		blk_queue_flag_set(QUEUE_FLAG_SYNCHRONOUS, disk->queue);
#endif
#endif
	return disk;
}
#endif

/* A block device that nobody else may open: 6.5, 6.7, 6.9. */
struct tmem_backing {
	struct block_device *bdev; /* NULL: none */
#if TMEM_KERNEL(6, 9)
	struct file *file;
#elif TMEM_KERNEL(6, 7)
	struct bdev_handle *handle;
#endif
};

static inline int tmem_backing_open(struct tmem_backing *backing, const char *path, void *holder)
{
#if TMEM_KERNEL(6, 9)
	backing->file = bdev_file_open_by_path(path, BLK_OPEN_READ | BLK_OPEN_WRITE, holder, NULL);
	if (IS_ERR(backing->file))
		return PTR_ERR(backing->file);
	backing->bdev = file_bdev(backing->file);
#elif TMEM_KERNEL(6, 7)
	backing->handle = bdev_open_by_path(path, BLK_OPEN_READ | BLK_OPEN_WRITE, holder, NULL);
	if (IS_ERR(backing->handle))
		return PTR_ERR(backing->handle);
	backing->bdev = backing->handle->bdev;
#else
	struct block_device *bdev;

#if TMEM_KERNEL(6, 5)
	bdev = blkdev_get_by_path(path, BLK_OPEN_READ | BLK_OPEN_WRITE, holder, NULL);
#else
	bdev = blkdev_get_by_path(path, FMODE_READ | FMODE_WRITE | FMODE_EXCL, holder);
#endif
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	backing->bdev = bdev;
#endif
	return 0;
}

static inline void tmem_backing_close(struct tmem_backing *backing, void *holder)
{
	if (!backing->bdev)
		return;
#if TMEM_KERNEL(6, 9)
	fput(backing->file);
#elif TMEM_KERNEL(6, 7)
	bdev_release(backing->handle);
#elif TMEM_KERNEL(6, 5)
	blkdev_put(backing->bdev, holder);
#else
	blkdev_put(backing->bdev, FMODE_READ | FMODE_WRITE | FMODE_EXCL);
#endif
	backing->bdev = NULL;
}

#endif /* TMEM_COMPAT_H */
