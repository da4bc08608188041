// SPDX-License-Identifier: GPL-2.0-only
/*
 * Starting and stopping the hook on a disk that is in use.
 *
 * Start: the hook watches writes; the self-test shows that it sees them; everything that was
 * submitted before is waited for (tasks inside submit_bio: RCU tasks; requests: frozen queue),
 * twice: RCU tasks does not wait for who sleeps, as for entry to a queue that is frozen, behind hook
 * and tracepoint. Who slept in the first pass is running or in the queue in the second. Only then
 * are records made. A write that is older and comes later all the same (throttled) is found by the
 * tracepoint and turns the cache off.
 * A disk that has gone is let go of within WATCH_MS.
 *
 * Context: process. Lock order: enable_mutex -> cache_mutex.
 */
#define pr_fmt(fmt) "tmem_cache: " fmt
#include <linux/blk-mq.h>
#include <linux/slab.h>
#include "cache.h"

#define WATCH_MS 10000

static DEFINE_MUTEX(enable_mutex);
static void watch(struct work_struct *work);
static DECLARE_DELAYED_WORK(watch_work, watch);
static struct cache_disk *hooked[CACHE_NUMBERS]; /* enable_mutex */

static void wait_for_submitted(struct gendisk *gendisk)
{
	synchronize_rcu_tasks();
	blk_mq_freeze_queue(gendisk->queue);
	blk_mq_unfreeze_queue(gendisk->queue);
}

static int start(struct cache_disk *disk, struct block_device *bdev)
{
	int err = cache_hook_install();

	if (!err)
		err = cache_self_test(disk, bdev);
	if (err)
		return err;
	wait_for_submitted(disk->gendisk);
	wait_for_submitted(disk->gendisk);
	cache_generations_end(disk);
	return cache_disk_set_on(disk, CACHE_STARTING) ? 0 : -EIO;
}

static void stop(struct cache_disk *disk)
{
	struct workqueue_struct *submit_queue = disk->submit_queue;

	hooked[disk->number] = NULL;
	cache_disk_withdraw(disk);
	put_device(disk_to_dev(disk->gendisk));
	cache_disk_free(disk);
	destroy_workqueue(submit_queue);
}

/* Under enable_mutex. Whether a disk is left. */
static bool stop_dead(void)
{
	bool left = false;
	unsigned int i;

	for (i = 1; i < CACHE_NUMBERS; i++) {
		if (hooked[i] && test_bit(GD_DEAD, &hooked[i]->gendisk->state))
			stop(hooked[i]);
		left |= hooked[i] != NULL;
	}
	return left;
}

static const char *objection(struct gendisk *gendisk, bool force)
{
	const char *why = cache_hook_impossible(gendisk);

	if (!why && !force)
		why = cache_hook_not_exclusive(gendisk);
	return why;
}

static int enable_bdev(struct block_device *bdev, bool force)
{
	struct gendisk *gendisk = bdev->bd_disk;
	const char *why = bdev == gendisk->part0 ? objection(gendisk, force) :
						   "it is a partition: name the disk";
	struct workqueue_struct *submit_queue;
	struct cache_disk *disk;
	int err;

	if (why) {
		pr_err("%pg is not cached: %s\n", bdev, why);
		return -EPERM;
	}
	submit_queue = cache_submit_queue_new(gendisk->disk_name);
	if (!submit_queue)
		return -ENOMEM;
	disk = cache_disk_new(gendisk, gendisk, submit_queue, get_capacity(gendisk), cache_pass,
			      force);
	if (IS_ERR(disk)) {
		destroy_workqueue(submit_queue);
		if (PTR_ERR(disk) == -EFBIG)
			pr_err("%pg is not cached: larger than index_limit_kib allows\n", bdev);
		return PTR_ERR(disk);
	}
	get_device(disk_to_dev(gendisk));
	hooked[disk->number] = disk;
	err = cache_disk_publish(disk);
	if (!err)
		err = start(disk, bdev);
	if (!err) {
		pr_info("%pg is cached%s\n", bdev, force ? ", because its owner insists" : "");
		schedule_delayed_work(&watch_work, msecs_to_jiffies(WATCH_MS));
		return 0;
	}
	pr_err("%pg is not cached: error %d\n", bdev, err);
	stop(disk);
	return err;
}

/* `what`: a disk's name, then ":force" if its owner insists. */
int cache_enable(const char *what)
{
	size_t length = strcspn(what, ":");
	bool force = !strcmp(what + length, ":force");
	tmem_bdev_handle handle;
	char *path;
	int err;

	if (what[length] && !force)
		return -EINVAL;
	path = kasprintf(GFP_KERNEL, "/dev/%.*s", (int)length, what);
	if (!path)
		return -ENOMEM;
	handle = tmem_bdev_open(path);
	err = PTR_ERR_OR_ZERO(handle);
	if (err) {
		pr_err("%s cannot be opened: error %d\n", path, err);
	} else {
		mutex_lock(&enable_mutex);
		stop_dead(); /* one of this name may have been there */
		err = enable_bdev(tmem_bdev_of(handle), force);
		mutex_unlock(&enable_mutex);
		tmem_bdev_close(handle);
	}
	kfree(path);
	return err;
}

int cache_disable(const char *name)
{
	int err = -ENODEV;
	unsigned int i;

	mutex_lock(&enable_mutex);
	for (i = 1; i < CACHE_NUMBERS; i++) {
		if (hooked[i] && !strcmp(hooked[i]->gendisk->disk_name, name)) {
			stop(hooked[i]);
			err = 0;
			break;
		}
	}
	mutex_unlock(&enable_mutex);
	return err;
}

static void watch(struct work_struct *work)
{
	mutex_lock(&enable_mutex);
	if (stop_dead())
		schedule_delayed_work(&watch_work, msecs_to_jiffies(WATCH_MS));
	mutex_unlock(&enable_mutex);
}
