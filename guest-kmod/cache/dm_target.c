// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device-mapper target `tmem-cache DEVICE [force]`: the cache where the hook cannot be, or
 * should not. Bios come here by right, so nothing can be missed, and while the device is suspended
 * nothing is on its way.
 *
 * The file system on the mapped device is cached while the table is live: resume to suspend. Blocks
 * are counted from the target's start. One such target a device. What speaks against a disk speaks
 * against all that lies on it: when a table is made, the devices below are all looked at, and what
 * else lies on the first of them.
 *
 * Context: resume runs while the device is suspended (cache_disk_publish()).
 */
#define pr_fmt(fmt) "tmem_cache: " fmt
#include <linux/device-mapper.h>
#include <linux/sched/mm.h>
#include <linux/module.h>
#include "cache.h"

#define LAYERS_MAX 8u

struct target {
	struct dm_dev *lower;
	bool force;
	struct workqueue_struct *submit_queue;
	struct cache_disk *disk; /* while live and cached; else NULL */
};

static bool is_multipath(struct gendisk *gendisk)
{
	struct mapped_device *md = dm_get_md(disk_devt(gendisk));
	char name[DM_NAME_LEN], uuid[DM_UUID_LEN];
	bool multipath;

	if (!md)
		return false;
	multipath = !dm_copy_name_and_uuid(md, name, uuid) && !strncmp(uuid, "mpath-", 6);
	dm_put(md);
	return multipath;
}

/* A disk, in the search for an objection to one of those that it lies on. */
struct layer {
	struct gendisk *gendisk;
	unsigned int number; /* from the target down */
	const char *why;
};

static const char *not_exclusive(struct gendisk *gendisk, unsigned int layer);

/* For each disk and partition of the machine: sysfs links a disk to those that it lies on, by name. */
static int look_below(struct device *dev, void *data)
{
	struct layer *layer = data;
	struct kernfs_node *link = sysfs_get_dirent(layer->gendisk->slave_dir->sd, dev_name(dev));

	if (!link)
		return 0;
	sysfs_put(link);
	layer->why = not_exclusive(dev_to_disk(dev), layer->number + 1);
	return layer->why != NULL;
}

static const char *not_exclusive(struct gendisk *gendisk, unsigned int number)
{
	struct layer layer = { .gendisk = gendisk, .number = number };

	if (number > LAYERS_MAX)
		return "it lies on too many layers of devices";
	if (is_multipath(gendisk))
		return "it is multipath storage, which others may reach";
	layer.why = cache_disk_not_exclusive(gendisk);
	if (!layer.why && gendisk->slave_dir)
		class_for_each_device(disk_to_dev(gendisk)->class, NULL, &layer, look_below);
	return layer.why;
}

/* A device, in the search for disks other than `own` that lie on it. */
struct shared {
	struct block_device *bdev;
	struct gendisk *own;
};

/* For each disk and partition of the machine: sysfs links a device to the disks on it, by name. */
static int look_above(struct device *dev, void *data)
{
	const struct shared *shared = data;
	struct kernfs_node *link;

	if (dev_to_disk(dev) == shared->own)
		return 0;
	link = sysfs_get_dirent(shared->bdev->bd_holder_dir->sd, dev_name(dev));
	sysfs_put(link);
	return link != NULL;
}

/*
 * The claim that dm_get_device() took keeps out mounts and RAID, but not other tables of the device
 * mapper: they share it. Deeper down many tables on a disk are usual (LVM).
 */
static bool is_shared(struct block_device *bdev, struct gendisk *own)
{
	struct shared shared = { .bdev = bdev, .own = own };

	return class_for_each_device(disk_to_dev(bdev->bd_disk)->class, NULL, &shared, look_above);
}

static const char *objection(struct dm_target *ti, struct block_device *lower, bool force)
{
	const char *why = cache_disk_impossible(lower->bd_disk);

	if (why || force)
		return why;
	why = not_exclusive(lower->bd_disk, 1);
	if (!why && is_shared(lower, dm_disk(dm_table_get_md(ti->table))))
		why = "another device-mapper device lies on it too";
	return why;
}

static int target_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	const char *name = dm_disk(dm_table_get_md(ti->table))->disk_name;
	struct target *target;
	const char *why;
	int err;

	if (argc < 1 || argc > 2 || (argc == 2 && strcmp(argv[1], "force"))) {
		ti->error = "Usage: tmem-cache DEVICE [force]";
		return -EINVAL;
	}
	target = kzalloc(sizeof(*target), GFP_KERNEL);
	if (!target)
		return -ENOMEM;
	target->force = argc == 2;
	err = -ENOMEM;
	target->submit_queue = cache_submit_queue_new(name);
	if (!target->submit_queue)
		goto free_target;
	err = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table), &target->lower);
	if (err) {
		ti->error = "The device cannot be opened";
		goto free_queue;
	}
	why = objection(ti, target->lower->bdev, target->force);
	if (why) {
		ti->error = (char *)why;
		err = -EPERM;
		goto put_device;
	}
	ti->private = target;
	ti->num_flush_bios = 1;
	ti->num_discard_bios = 1;
	ti->num_secure_erase_bios = 1;
	ti->num_write_zeroes_bios = 1;
	return 0;

put_device:
	dm_put_device(ti, target->lower);
free_queue:
	destroy_workqueue(target->submit_queue);
free_target:
	kfree(target);
	return err;
}

static void uncache(struct target *target)
{
	unsigned int noio = memalloc_noio_save();

	if (target->disk) {
		cache_disk_withdraw(target->disk);
		cache_disk_free(target->disk);
		target->disk = NULL;
	}
	memalloc_noio_restore(noio);
}

/* If another target of the table refused to resume, this one was not suspended again. */
static void target_dtr(struct dm_target *ti)
{
	struct target *target = ti->private;

	uncache(target);
	dm_put_device(ti, target->lower);
	destroy_workqueue(target->submit_queue);
	kfree(target);
}

/* In this module's text, so that a hook on the disk below sees it. */
static noinline void pass_below(struct bio *bio)
{
	submit_bio_noacct(bio);
}

static int target_map(struct dm_target *ti, struct bio *bio)
{
	struct target *target = ti->private;

	bio_set_dev(bio, target->lower->bdev);
	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	if (!target->disk || !percpu_ref_tryget_live(&target->disk->users))
		return DM_MAPIO_REMAPPED;
	cache_submit(target->disk, bio);
	return DM_MAPIO_SUBMITTED;
}

/*
 * Suspended still: memory must not be had by writing to the device, so allocations may fail. Then
 * the device works without its cache until the next resume.
 */
static int target_preresume(struct dm_target *ti)
{
	struct target *target = ti->private;
	struct gendisk *gendisk = dm_disk(dm_table_get_md(ti->table));
	struct cache_disk *disk;
	unsigned int noio;
	int err;

	uncache(target); /* of a resume that failed */
	noio = memalloc_noio_save();
	disk = cache_disk_new(gendisk, target->lower->bdev->bd_disk, target->submit_queue, ti->len,
			      pass_below, target->force);
	err = PTR_ERR_OR_ZERO(disk);
	if (!err) {
		err = cache_disk_publish(disk);
		if (err) {
			cache_disk_withdraw(disk);
			cache_disk_free(disk);
		} else {
			cache_disk_set_on(disk, CACHE_STARTING);
			target->disk = disk;
		}
	}
	memalloc_noio_restore(noio);
	if (err)
		pr_err("%s is not cached: error %d\n", gendisk->disk_name, err);
	return 0;
}

static void target_postsuspend(struct dm_target *ti)
{
	uncache(ti->private);
}

static void target_status(struct dm_target *ti, status_type_t type, unsigned int flags,
			  char *result, unsigned int maxlen)
{
	struct target *target = ti->private;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		DMEMIT("%s", target->disk ? "cached" : "not cached");
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s%s", target->lower->name, target->force ? " force" : "");
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",device=%s;", target->lower->name);
		break;
	}
}

static int target_iterate(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct target *target = ti->private;

	return fn(ti, target->lower, 0, ti->len, data);
}

static struct target_type target_type = {
	.name = "tmem-cache",
	.version = { 1, 0, 0 },
	.module = THIS_MODULE,
	.ctr = target_ctr,
	.dtr = target_dtr,
	.map = target_map,
	.preresume = target_preresume,
	.postsuspend = target_postsuspend,
	.status = target_status,
	.iterate_devices = target_iterate,
};

static int __init target_init(void)
{
	return dm_register_target(&target_type);
}

static void __exit target_exit(void)
{
	dm_unregister_target(&target_type);
	/* Their bios have ended, but they may not have left pass_below(). */
	cache_queue_flush();
}

module_init(target_init);
module_exit(target_exit);
MODULE_DESCRIPTION("tmem: clean page cache as a device-mapper target");
MODULE_LICENSE("GPL");
