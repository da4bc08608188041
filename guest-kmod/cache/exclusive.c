// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is a disk provably this guest's alone? A cache of a disk that somebody else writes returns old
 * data, so what looks shared is refused unless its owner insists ("force"). What cannot work at all
 * is refused always. A Xen host that shares a disk by `w!` may say so in the disk's `mode`, or may
 * not (xl writes plain "w"): the guest cannot know all, which is why disks are enabled by name.
 *
 * Context: process.
 */
#include <linux/blk-mq.h>
#include <linux/kernfs.h>
#include <linux/major.h>
#include <xen/xen.h>
#include <xen/xenbus.h>
#include "cache.h"

static bool has_entries(const struct kobject *folder)
{
	return folder && folder->sd && !RB_EMPTY_ROOT(&folder->sd->dir.children);
}

/* The host's access mode of a Xen disk: NULL, or why not. */
static const char *xen_mode_objection(struct gendisk *gendisk)
{
	struct device *parent = disk_to_dev(gendisk)->parent;
	const char *why = NULL;
	char *mode;

	if (!xen_domain() || !parent || !parent->bus || strcmp(parent->bus->name, "xen"))
		return NULL;
	mode = xenbus_read(XBT_NIL, to_xenbus_device(parent)->otherend, "mode", NULL);
	if (IS_ERR(mode))
		return "its access mode cannot be read from xenstore";
	if (strchr(mode, '!'))
		why = "it is shared with other guests (mode w!)";
	else if (mode[0] != 'w')
		why = "it is read-only here: its writer is elsewhere";
	kfree(mode);
	return why;
}

/* What speaks against caching what is on this disk, whatever it lies on. */
const char *cache_disk_not_exclusive(struct gendisk *gendisk)
{
	if (get_disk_ro(gendisk))
		return "it is read-only here: its writer is elsewhere";
	if (gendisk->major == LOOP_MAJOR)
		return "its contents are a file, which others may write";
	return xen_mode_objection(gendisk);
}
EXPORT_SYMBOL_GPL(cache_disk_not_exclusive);

/* The same for the hook, which sees bios to this device alone. */
const char *cache_hook_not_exclusive(struct gendisk *gendisk)
{
	if (has_entries(gendisk->slave_dir))
		return "it lies on other devices (multipath?), which others may write";
	if (has_entries(gendisk->part0->bd_holder_dir))
		return "it is part of another device (multipath, device mapper, RAID)";
	return cache_disk_not_exclusive(gendisk);
}

const char *cache_disk_impossible(struct gendisk *gendisk)
{
	if (bdev_is_zoned(gendisk->part0))
		return "zoned disks are not supported";
	if (queue_logical_block_size(gendisk->queue) > PAGE_SIZE)
		return "its blocks are larger than a page";
	return NULL;
}
EXPORT_SYMBOL_GPL(cache_disk_impossible);

const char *cache_hook_impossible(struct gendisk *gendisk)
{
	/* Bios that came before the hook are waited for by freezing the queue: blk-mq only. */
	if (!queue_is_mq(gendisk->queue))
		return "it has no request queue; use the device-mapper target tmem-cache";
	if (get_capacity(gendisk) < CACHE_BLOCK_SECTORS)
		return "it is empty";
	return cache_disk_impossible(gendisk);
}
