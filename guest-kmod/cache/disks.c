// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cached disks: a table that evictions and bios look into without a lock, and the states of each.
 *
 *   starting -> on <-> flushing        (flush: resize, media change, write error, resume)
 *               on -> doubt -> flushing  (spot checks)
 *               any -> off             (a write was missed, a difference was found, ...)
 *
 * Changes of state are single exchanges and may come from any context. Only `on` puts, gets and
 * records, and a put looks at the state under its block's lock: after a change from `on` and one
 * pass of cache_index_forget() the index is empty and stays so.
 *
 * The table is read under RCU (tracepoint probes: preemption disabled); bios hold a user.
 * cache_mutex: publish, withdraw. Not taken in up(), which tmem_pool_flush() excludes.
 */
#define pr_fmt(fmt) "tmem_cache: " fmt
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "cache.h"

DEFINE_MUTEX(cache_mutex);

static struct cache_disk __rcu *disks[CACHE_NUMBERS];
static DECLARE_BITMAP(numbers, CACHE_NUMBERS) = { 1 };
static u64 last_id;

static void flush(struct work_struct *work);
static DECLARE_WORK(forget_work, flush);

struct cache_disk *cache_disk_of(const struct gendisk *gendisk)
{
	unsigned int i;

	for (i = 1; i < CACHE_NUMBERS; i++) {
		/* Raw: some readers are RCU readers by having preemption disabled. */
		struct cache_disk *disk = rcu_dereference_raw(disks[i]);

		if (disk && disk->gendisk == gendisk)
			return disk;
	}
	return NULL;
}

struct cache_disk *cache_disk_get(const struct gendisk *gendisk)
{
	struct cache_disk *disk;

	rcu_read_lock();
	disk = cache_disk_of(gendisk);
	if (disk && (disk->is_target || !percpu_ref_tryget_live(&disk->users)))
		disk = NULL;
	rcu_read_unlock();
	return disk;
}

struct cache_disk *cache_disk_get_numbered(unsigned int number)
{
	struct cache_disk *disk;

	rcu_read_lock();
	disk = rcu_dereference(disks[number % CACHE_NUMBERS]);
	if (disk && !percpu_ref_tryget_live(&disk->users))
		disk = NULL;
	rcu_read_unlock();
	return disk;
}

bool cache_disk_set_on(struct cache_disk *disk, int from)
{
	return cmpxchg(&disk->state, from, CACHE_ON) == from;
}
EXPORT_SYMBOL_GPL(cache_disk_set_on);

/*
 * Nothing of this disk is trusted any more. Takes effect at once; the memory of the pool follows.
 * The caller holds a user.
 */
void cache_disk_flush(struct cache_disk *disk, const char *why)
{
	cache_generations_end(disk);
	cache_count(disk, flushes, 1);
	if (cmpxchg(&disk->state, CACHE_ON, CACHE_FLUSHING) == CACHE_ON)
		pr_info_ratelimited("%s: flushed: %s\n", disk->gendisk->disk_name, why);
	queue_work(system_unbound_wq, &forget_work);
}

/* The caller holds a user, or is an RCU reader. */
void cache_disk_off(struct cache_disk *disk, const char *why)
{
	if (xchg(&disk->state, CACHE_OFF) == CACHE_OFF)
		return;
	strscpy(disk->reason, why, sizeof(disk->reason));
	cache_generations_end(disk);
	pr_err("%s: the cache is off: %s\n", disk->gendisk->disk_name, why);
	queue_work(system_unbound_wq, &forget_work);
}

void cache_disks_forget(void)
{
	unsigned int i;

	for (i = 1; i < CACHE_NUMBERS; i++) {
		struct cache_disk *disk = cache_disk_get_numbered(i);

		if (!disk)
			continue;
		cache_index_forget(disk);
		percpu_ref_put(&disk->users);
	}
}

void cache_disks_flush(const char *why)
{
	unsigned int i;

	for (i = 1; i < CACHE_NUMBERS; i++) {
		struct cache_disk *disk = cache_disk_get_numbered(i);

		if (!disk)
			continue;
		cache_disk_flush(disk, why);
		percpu_ref_put(&disk->users);
	}
}

/*
 * All disks: the pool has one flush for all. Turned on again is who was flushing before its index
 * was forgotten; a flush that comes later queues the work again.
 */
static void flush(struct work_struct *work)
{
	u64 flushing[CACHE_NUMBERS] = { 0 };
	struct cache_disk *disk;
	unsigned int i;

	for (i = 1; i < CACHE_NUMBERS; i++) {
		disk = cache_disk_get_numbered(i);
		if (!disk)
			continue;
		if (READ_ONCE(disk->state) == CACHE_FLUSHING)
			flushing[i] = disk->id;
		cache_index_forget(disk);
		percpu_ref_put(&disk->users);
	}
	/* A failure: the connection is gone, and up() will tell. */
	tmem_pool_flush(cache_pool);
	for (i = 1; i < CACHE_NUMBERS; i++) {
		disk = flushing[i] ? cache_disk_get_numbered(i) : NULL;
		if (!disk)
			continue;
		if (disk->id == flushing[i])
			cache_disk_set_on(disk, CACHE_FLUSHING);
		percpu_ref_put(&disk->users);
	}
}

void cache_flush_stop(void)
{
	cancel_work_sync(&forget_work);
}

/* Is it still the disk that it was? Asked at each bio. */
void cache_disk_look(struct cache_disk *disk)
{
	sector_t capacity = get_capacity(disk->watched);
	u64 diskseq = READ_ONCE(disk->watched->diskseq);

	if (likely(capacity == READ_ONCE(disk->capacity) && diskseq == READ_ONCE(disk->diskseq)))
		return;
	/* First: who finds the new values goes on as if nothing had changed. */
	cache_disk_flush(disk, "resize or media change");
	WRITE_ONCE(disk->capacity, capacity);
	WRITE_ONCE(disk->diskseq, diskseq);
}

static void unused(struct percpu_ref *users)
{
	complete(&container_of(users, struct cache_disk, users)->unused);
}

static void init(struct cache_disk *disk, struct gendisk *gendisk, void (*pass)(struct bio *bio),
		 bool forced)
{
	disk->gendisk = gendisk;
	disk->pass = pass;
	disk->is_target = pass != cache_pass;
	disk->forced = forced;
	disk->state = CACHE_STARTING;
	init_completion(&disk->unused);
	bio_list_init(&disk->deferred);
	spin_lock_init(&disk->deferred_lock);
	INIT_WORK(&disk->deferred_work, cache_run_deferred);
	INIT_DELAYED_WORK(&disk->doubt_work, cache_spot_verdict);
}

static int take_number(struct cache_disk *disk)
{
	int err = -ENOSPC;

	mutex_lock(&cache_mutex);
	disk->number = find_first_zero_bit(numbers, CACHE_NUMBERS);
	if (disk->number < CACHE_NUMBERS) {
		__set_bit(disk->number, numbers);
		disk->id = ++last_id * CACHE_NUMBERS + disk->number;
		err = 0;
	}
	mutex_unlock(&cache_mutex);
	return err;
}

/*
 * For cache_disk_new(). One a disk: where one cache lies on another, the upper disk's deferred
 * writes wait for the lower's, and a queue has one rescuer. Starts that thread, so not while a device
 * is suspended.
 */
struct workqueue_struct *cache_submit_queue_new(const char *name)
{
	return alloc_workqueue("tmem_cache/%s", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0, name);
}
EXPORT_SYMBOL_GPL(cache_submit_queue_new);

/*
 * Not yet published. `sectors` may be cached. The caller keeps the disks and the queue until
 * cache_disk_free().
 */
struct cache_disk *cache_disk_new(struct gendisk *gendisk, struct gendisk *watched,
				  struct workqueue_struct *submit_queue, sector_t sectors,
				  void (*pass)(struct bio *bio), bool forced)
{
	struct cache_disk *disk = kzalloc(sizeof(*disk), GFP_KERNEL);
	int err;

	if (!disk)
		return ERR_PTR(-ENOMEM);
	init(disk, gendisk, pass, forced);
	disk->watched = watched;
	disk->submit_queue = submit_queue;
	err = cache_index_init(disk, sectors);
	if (err)
		goto free_disk;
	err = -ENOMEM;
	disk->counters = alloc_percpu(struct cache_counters);
	if (!disk->counters)
		goto free_index;
	err = cache_ios_init(disk);
	if (err)
		goto free_counters;
	err = percpu_ref_init(&disk->users, unused, 0, GFP_KERNEL);
	if (err)
		goto free_ios;
	err = take_number(disk);
	if (!err)
		return disk;
	percpu_ref_exit(&disk->users);
free_ios:
	mempool_exit(&disk->ios);
free_counters:
	free_percpu(disk->counters);
free_index:
	cache_index_free(disk);
free_disk:
	kfree(disk);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(cache_disk_new);

/*
 * From now on evictions and, with the hook, bios find it. -EEXIST: its gendisk has another.
 * A target calls this while its device is suspended, so memory must not be had by writing to it.
 */
int cache_disk_publish(struct cache_disk *disk)
{
	unsigned int noio = memalloc_noio_save();
	int err = -EEXIST;

	mutex_lock(&cache_mutex);
	if (!cache_disk_of(disk->gendisk)) {
		disk->capacity = get_capacity(disk->watched);
		disk->diskseq = disk->watched->diskseq;
		err = cache_probes_register();
		if (!err)
			err = cache_sysfs_add(disk);
		if (!err)
			rcu_assign_pointer(disks[disk->number], disk);
	}
	mutex_unlock(&cache_mutex);
	memalloc_noio_restore(noio);
	return err;
}
EXPORT_SYMBOL_GPL(cache_disk_publish);

/* Waits for bios on their way. Nobody finds it any more; its records are void. */
void cache_disk_withdraw(struct cache_disk *disk)
{
	mutex_lock(&cache_mutex);
	if (rcu_access_pointer(disks[disk->number]) == disk) {
		RCU_INIT_POINTER(disks[disk->number], NULL);
		cache_sysfs_remove(disk);
	}
	mutex_unlock(&cache_mutex);
	xchg(&disk->state, CACHE_OFF);
	cache_generations_end(disk);
	percpu_ref_kill(&disk->users);
	wait_for_completion(&disk->unused);
	/* Nobody queues it any more, but it may be queued for a bio that an earlier run took. */
	cancel_work_sync(&disk->deferred_work);
	synchronize_rcu();
	/* What it has in the pool is garbage. */
	queue_work(system_unbound_wq, &forget_work);
}
EXPORT_SYMBOL_GPL(cache_disk_withdraw);

/* Withdrawn, or never published. */
void cache_disk_free(struct cache_disk *disk)
{
	percpu_ref_exit(&disk->users);
	mempool_exit(&disk->ios);
	free_percpu(disk->counters);
	cache_index_free(disk);
	mutex_lock(&cache_mutex);
	__clear_bit(disk->number, numbers);
	mutex_unlock(&cache_mutex);
	kfree(disk);
}
EXPORT_SYMBOL_GPL(cache_disk_free);
