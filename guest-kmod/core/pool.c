// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools: opened by modules, created in the daemon on each connection and in each epoch.
 *
 * Context: process, but for tmem_room(), tmem_pool_is_up() and tmem_holds_changed(). Everything
 * else runs under lifecycle.
 */
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "core.h"

#define DRAIN_MS 5000

static struct tmem_pool *pool_at(unsigned int id)
{
	return rcu_dereference_protected(tmem.pools[id], lockdep_is_held(&tmem.lifecycle));
}

/* What posts see. When this returns, no post under the old state is still under way. */
static void pool_set(struct tmem_pool *pool, enum pool_state state)
{
	unsigned long irq;
	unsigned int i;

	WRITE_ONCE(pool->state, state);
	for (i = 0; i < TMEM_QUEUES_MAX; i++) {
		spin_lock_irqsave(&tmem.queues[i].lock, irq);
		spin_unlock_irqrestore(&tmem.queues[i].lock, irq);
	}
}

static void retry_waiting(void)
{
	unsigned int i;

	for (i = 0; i < TMEM_QUEUES_MAX; i++)
		tmem_queue_retry(&tmem.queues[i]);
	tmem_room();
}

/* Gets that wait for a page which is lost. */
static void fail_waiting_gets(struct tmem_pool *pool)
{
	struct tmem_io *io, *next;
	unsigned long irq;
	unsigned int i;
	LIST_HEAD(lost);

	for (i = 0; i < TMEM_QUEUES_MAX; i++) {
		struct tmem_queue *queue = &tmem.queues[i];

		spin_lock_irqsave(&queue->lock, irq);
		list_for_each_entry_safe(io, next, &queue->waiting[WAITING_GETS], link)
			if (io->pool == pool)
				list_move_tail(&io->link, &lost);
		spin_unlock_irqrestore(&queue->lock, irq);
	}
	tmem_complete(&lost, -ESTALE);
}

static bool drained(struct tmem_pool *pool)
{
	return wait_event_timeout(tmem.drained, !atomic_read(&pool->inflight),
				  msecs_to_jiffies(DRAIN_MS));
}

static int pool_destroy(struct tmem_pool *pool)
{
	int status;

	if (!drained(pool))
		return -ETIMEDOUT;
	status = tmem_command(pool, TMEM_OP_POOL_DESTROY);
	return status == TMEM_OK || status == TMEM_NO_SUCH_POOL ? 0 : -EIO;
}

static int pool_up(struct tmem_pool *pool)
{
	bool kept;
	int status;

	if (pool->unclean && pool_destroy(pool))
		return -EIO;
	pool->unclean = false;
	status = tmem_command(pool, TMEM_OP_POOL_CREATE);
	if (status) {
		pr_warn_ratelimited("tmem: pool %u was not created: %d\n", pool->id, status);
		return -EIO;
	}
	kept = pool->epoch == tmem.epoch &&
	       (pool_persistent(pool) || pool->connection == tmem.connection);
	if (!kept)
		fail_waiting_gets(pool);
	pool->ops->up(pool->ctx, kept);
	pool->epoch = tmem.epoch;
	pool->connection = tmem.connection;
	pool_set(pool, POOL_UP);
	WRITE_ONCE(pool->wants_room, 1);
	return 0;
}

void tmem_pools_up(void)
{
	bool changed = false;
	unsigned int i;

	for (i = 0; i < TMEM_POOLS_MAX; i++) {
		struct tmem_pool *pool = pool_at(i);

		if (!pool || pool->state != POOL_DOWN)
			continue;
		if (pool_up(pool))
			tmem_look_later(1000);
		else
			changed = true;
	}
	if (changed)
		retry_waiting();
}

void tmem_pools_down(void)
{
	unsigned int i;

	for (i = 0; i < TMEM_POOLS_MAX; i++)
		if (pool_at(i))
			pool_set(pool_at(i), POOL_DOWN);
}

void tmem_pools_evacuate(bool on)
{
	unsigned int i;

	for (i = 0; i < TMEM_POOLS_MAX; i++) {
		struct tmem_pool *pool = pool_at(i);

		if (!pool || pool->evacuating == on || !pool_persistent(pool))
			continue;
		pool->evacuating = on;
		WRITE_ONCE(pool->refuses, on);
		pool_set(pool, pool->state);
		if (pool->ops->evacuate)
			pool->ops->evacuate(pool->ctx, on);
	}
	retry_waiting();
}

void tmem_pools_write_back(u32 kib_s)
{
	unsigned int i;

	for (i = 0; i < TMEM_POOLS_MAX; i++) {
		struct tmem_pool *pool = pool_at(i);

		if (!pool || pool->write_back_kib_s == kib_s || !pool->ops->write_back)
			continue;
		pool->write_back_kib_s = kib_s;
		pool->ops->write_back(pool->ctx, kib_s);
	}
}

/* A put that is not answered yet may become a page in the pool; then .holds() says so. */
bool tmem_pools_hold(void)
{
	unsigned int i;

	for (i = 0; i < TMEM_POOLS_MAX; i++) {
		struct tmem_pool *pool = pool_at(i);
		bool asked;

		if (!pool || !pool_persistent(pool))
			continue;
		/* Pairs with answered(): done() was called before. */
		asked = atomic_read_acquire(&pool->inflight);
		if (pool->ops->holds(pool->ctx)) {
			if (READ_ONCE(pool->refuses) && !pool->ops->evacuate)
				tmem_pool_cannot_evacuate(pool,
							  "pages leave the pool by swapoff only");
			return true;
		}
		if (pool->evacuating && asked) {
			tmem_look_later(20);
			return true;
		}
	}
	return false;
}

void tmem_room(void)
{
	unsigned int i;

	rcu_read_lock();
	for (i = 0; i < TMEM_POOLS_MAX; i++) {
		struct tmem_pool *pool = rcu_dereference(tmem.pools[i]);

		if (pool && READ_ONCE(pool->wants_room) && xchg(&pool->wants_room, 0) &&
		    pool->ops->room)
			pool->ops->room(pool->ctx);
	}
	rcu_read_unlock();
}

struct tmem_pool *tmem_pool_open(unsigned int id, u32 flags, const struct tmem_pool_ops *ops,
				 void *ctx)
{
	struct tmem_pool *pool;
	unsigned int noio;
	int error;

	if (id >= TMEM_POOLS_MAX || flags & ~TMEM_POOL_PERSISTENT || !ops->up)
		return ERR_PTR(-EINVAL);
	if (flags & TMEM_POOL_PERSISTENT && !ops->holds)
		return ERR_PTR(-EINVAL);
	pool = kzalloc(sizeof(*pool), GFP_KERNEL);
	if (!pool)
		return ERR_PTR(-ENOMEM);
	pool->id = id;
	pool->flags = flags;
	pool->ops = ops;
	pool->ctx = ctx;
	pool->unclean = true; /* an earlier owner may not have been able to destroy it */
	mutex_lock(&tmem.lifecycle);
	noio = memalloc_noio_save(); /* swap may wait for the lock's holder */
	error = pool_at(id) ? -EBUSY : 0;
	if (!error)
		error = tmem_pool_stats_add(pool); /* on failure the pool is freed by it */
	else
		kfree(pool);
	if (!error)
		rcu_assign_pointer(tmem.pools[id], pool);
	memalloc_noio_restore(noio);
	mutex_unlock(&tmem.lifecycle);
	if (error)
		return ERR_PTR(error);
	tmem_look();
	return pool;
}
EXPORT_SYMBOL_GPL(tmem_pool_open);

void tmem_pool_close(struct tmem_pool *pool)
{
	mutex_lock(&tmem.lifecycle);
	pool_set(pool, POOL_DRAINING);
	if (pool_destroy(pool) && atomic_read(&pool->inflight))
		tmem_disconnect(true); /* nobody may answer to this pool any more */
	pool_set(pool, POOL_DOWN);
	RCU_INIT_POINTER(tmem.pools[pool->id], NULL);
	mutex_unlock(&tmem.lifecycle);
	synchronize_rcu();
	kobject_put(&pool->kobj);
	tmem_look();
}
EXPORT_SYMBOL_GPL(tmem_pool_close);

int tmem_pool_flush(struct tmem_pool *pool)
{
	int error = -ENOTCONN;

	mutex_lock(&tmem.lifecycle);
	if (pool->state == POOL_UP) {
		pool_set(pool, POOL_DRAINING);
		/* Suspended: no answer is taken before the worker thaws, and that needs the lock. */
		if (tmem.suspended)
			error = -EAGAIN;
		else
			error = drained(pool) ? tmem_command(pool, TMEM_OP_POOL_FLUSH) : -ETIMEDOUT;
		if (error > 0)
			error = -EIO;
		if (error) {
			pool->unclean = true;
			pool->epoch = 0;
			pool_set(pool, POOL_DOWN);
			tmem_look();
		} else {
			pool_set(pool, POOL_UP);
			WRITE_ONCE(pool->wants_room, 1);
			retry_waiting();
		}
	} else {
		pool->unclean = true;
		pool->epoch = 0;
	}
	mutex_unlock(&tmem.lifecycle);
	return error;
}
EXPORT_SYMBOL_GPL(tmem_pool_flush);

bool tmem_pool_is_up(const struct tmem_pool *pool)
{
	return READ_ONCE(pool->state) == POOL_UP;
}
EXPORT_SYMBOL_GPL(tmem_pool_is_up);

void tmem_holds_changed(void)
{
	tmem_look_later(200);
}
EXPORT_SYMBOL_GPL(tmem_holds_changed);

void tmem_pool_cannot_evacuate(struct tmem_pool *pool, const char *why)
{
	WRITE_ONCE(pool->refuses, false);
	WRITE_ONCE(tmem.evacuate_error, why);
	tmem_look();
}
EXPORT_SYMBOL_GPL(tmem_pool_cannot_evacuate);
