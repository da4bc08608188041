// SPDX-License-Identifier: GPL-2.0-only
/*
 * Puts, gets and flushes on their way to the daemon.
 *
 * Nothing here allocates or sleeps; all of it runs under tmem_queue.lock with interrupts off. A
 * post copies at most one page and makes at most one hypercall; tmem_run_waiting() posts all that
 * waits and finds room, at most a ring full.
 *
 * Ring entries are held back, so that a flood of puts leaves room for flushes, and flushes for
 * gets: see entries_kept().
 */
#include <linux/highmem.h>
#include <xen/events.h>
#include "core.h"

static u32 entries_kept(const struct tmem_pool *pool, u8 op, u32 entries)
{
	switch (op) {
	case TMEM_OP_PUT:
		return pool_persistent(pool) ? entries / 8 : entries / 4;
	case TMEM_OP_FLUSH_PAGE:
	case TMEM_OP_FLUSH_OBJECT:
		return entries / 16;
	default:
		return 1;
	}
}

static int may_post(const struct tmem_queue *queue, const struct tmem_pool *pool, u8 op)
{
	const struct tmem_ring *ring = queue->ring;

	if (op == TMEM_OP_PUT && READ_ONCE(pool->refuses))
		return -ENOSPC;
	if (!ring || pool->state == POOL_DOWN)
		return -ENOTCONN;
	/* Another daemon, and the worker has not seen it yet: it would refuse the old epoch. */
	if (READ_ONCE(ring->control->store_epoch) != queue->epoch)
		return -ENOTCONN;
	/* A cache does not wait for a daemon that is gone or asleep. */
	if (!pool_persistent(pool) && (queue->stalled || !READ_ONCE(ring->control->served)))
		return -ENOTCONN;
	if (pool->state == POOL_DRAINING)
		return -EAGAIN;
	if (queue_in_flight(queue) + entries_kept(pool, op, ring->entries) > ring->entries)
		return -EAGAIN;
	return 0;
}

/* Write the request and tell the daemon. The caller made sure of a free entry. */
void tmem_post(struct tmem_queue *queue, const struct inflight *what, u16 flags)
{
	struct tmem_ring *ring = queue->ring;
	u32 entry = queue->req_prod & (ring->entries - 1);
	u32 before = queue->req_prod;
	struct tmem_request wire = {
		.op = what->op,
		.flags = flags,
		.pool = what->pool->id,
		.id = before,
		.epoch = queue->epoch,
	};

	if (what->op == TMEM_OP_POOL_CREATE) {
		wire.u.create.flags = what->pool->flags;
	} else {
		memcpy(wire.u.page.oid, what->key.oid, sizeof(wire.u.page.oid));
		wire.u.page.index = what->key.index;
		wire.u.page.slot = what->slot;
	}
	ring->requests[entry] = wire;
	ring->inflight[entry] = *what;
	atomic_inc(&what->pool->inflight);
	core_count(CORE_REQUESTS);
	if (!queue_in_flight(queue))
		queue->progress = jiffies;
	queue->req_prod++;
	/* The daemon reads the request, the slot and the spent credit after the counter. */
	virt_store_release(&ring->control->req_prod, queue->req_prod);
	virt_mb(); /* the counter is out before the event counter is read */
	if (tmem_needs_event(READ_ONCE(ring->control->req_event), queue->req_prod, before)) {
		core_count(CORE_EVENTS_SENT);
		notify_remote_via_irq(ring->irq);
	}
	tmem_queue_arm(queue);
}

static bool credit_take(void)
{
	bool taken = false;
	u32 left;

	spin_lock(&tmem.credit_lock);
	if (tmem.credits) {
		left = READ_ONCE(tmem.credits->credits_granted) - tmem.credits_used;
		/* More than the slots could use: nonsense, and such credits are worth nothing. */
		taken = left && left <= tmem.credits_max;
	}
	if (taken)
		WRITE_ONCE(tmem.credits->credits_used, ++tmem.credits_used);
	spin_unlock(&tmem.credit_lock);
	return taken;
}

static void copy_to_slot(const struct tmem_ring *ring, u32 slot, struct page *page,
			 unsigned int offset)
{
	void *from = kmap_local_page(page);

	memcpy(page_address(ring->slot_pages[slot]), from + offset, TMEM_PAGE_BYTES);
	kunmap_local(from);
}

static int post_io(struct tmem_queue *queue, struct tmem_io *io, unsigned int flags)
{
	struct inflight what = { .io = io, .pool = io->pool, .key = io->key, .op = io->op };
	enum slot_kind kind = SLOT_GET;
	u16 wire_flags = 0;
	int slot;

	slot = may_post(queue, io->pool, io->op);
	if (slot)
		return slot;
	if (io->op == TMEM_OP_PUT)
		kind = pool_persistent(io->pool) ? SLOT_PERSISTENT : SLOT_EPHEMERAL;
	slot = tmem_slot_take(queue, kind);
	if (slot < 0)
		return slot;
	if (flags & (TMEM_IO_CREDIT | TMEM_IO_ONLY_CREDIT))
		io->credited = pool_persistent(io->pool) && credit_take();
	if (flags & TMEM_IO_ONLY_CREDIT && !io->credited) {
		tmem_slot_give(queue, slot);
		return -EAGAIN;
	}
	io->connection = queue->connection;
	io->queue = queue->number;
	io->slot = slot;
	io->staged = queue->ring->slot_pages[slot];
	if (io->op == TMEM_OP_PUT)
		copy_to_slot(queue->ring, slot, io->page, io->offset);
	if (io->credited) {
		wire_flags = TMEM_REQUEST_CREDIT;
		pool_count(io->pool, STAT_PUT_CREDITED);
	}
	what.slot = slot;
	tmem_post(queue, &what, wire_flags);
	return 0;
}

static void no_room(struct tmem_pool *pool)
{
	pool_count(pool, STAT_NO_ROOM);
	WRITE_ONCE(pool->wants_room, 1);
}

static unsigned int time_out_ms(const struct tmem_io *io)
{
	if (io->op == TMEM_OP_PUT)
		return READ_ONCE(tmem_put_ms);
	return pool_persistent(io->pool) ? READ_ONCE(tmem_persistent_get_ms) :
					   READ_ONCE(tmem_ephemeral_get_ms);
}

/* Whether time may help. A cache waits for room only, swap for another daemon as well. */
static bool may_wait(const struct tmem_io *io, int error)
{
	return error == -EAGAIN || (error == -ENOTCONN && pool_persistent(io->pool));
}

static void io_start(struct tmem_io *io, u8 op, bool waits)
{
	io->op = op;
	io->error = 0;
	io->waits = waits;
	io->credited = false;
	io->held = NULL;
	io->deadline = jiffies + msecs_to_jiffies(time_out_ms(io));
}

/* Puts have not been taken for as long as one of them may wait. queue->lock held. */
static bool away_for_long(const struct tmem_queue *queue, struct tmem_pool *pool)
{
	const struct tmem_ring *ring = queue->ring;
	unsigned long since = READ_ONCE(pool->away_since);
	bool away = !ring || pool->state == POOL_DOWN || !READ_ONCE(ring->control->served);

	if (!away)
		tmem_pool_is_back(pool);
	else if (!since)
		WRITE_ONCE(pool->away_since, jiffies | 1);
	return away && since &&
	       time_after(jiffies, since + msecs_to_jiffies(READ_ONCE(tmem_put_ms)));
}

static int take_io(struct tmem_io *io, u8 op, unsigned int flags)
{
	int list = op == TMEM_OP_PUT ? WAITING_PUTS : WAITING_GETS;
	struct tmem_queue *queue;
	unsigned long irq;
	int result;
	bool away;

	io_start(io, op, flags & TMEM_IO_WAIT);
	queue = tmem_queue_lock(io->pool->id, io->key.oid, &irq);
	away = flags & TMEM_IO_ELSEWHERE && away_for_long(queue, io->pool);
	/*
	 * A put does not overtake another that waits: it might be of the same key. A get of the
	 * cache does not wait behind those of swap for a daemon that is gone.
	 */
	if (away)
		result = -ENOTCONN;
	else if ((io->waits || op == TMEM_OP_PUT) && !list_empty(&queue->waiting[list]))
		result = op == TMEM_OP_GET && may_post(queue, io->pool, op) == -ENOTCONN ?
				 -ENOTCONN : -EAGAIN;
	else
		result = post_io(queue, io, flags);
	if (!result) {
		result = io->credited;
	} else if (!away && io->waits && may_wait(io, result)) {
		list_add_tail(&io->link, &queue->waiting[list]);
		pool_count(io->pool, STAT_WAITED);
		tmem_queue_arm(queue);
		result = 0;
	} else if (!(flags & TMEM_IO_ONLY_CREDIT)) {
		no_room(io->pool);
	}
	spin_unlock_irqrestore(&queue->lock, irq);
	return result;
}

int tmem_put(struct tmem_io *io, unsigned int flags)
{
	return take_io(io, TMEM_OP_PUT, flags);
}
EXPORT_SYMBOL_GPL(tmem_put);

/*
 * From the slot where the page is: puts that wait for a slot may wait for this one. They are of
 * other keys, so that they may be overtaken.
 */
int tmem_put_held(struct tmem_io *io, const struct tmem_io *held)
{
	struct inflight what = { .io = io, .pool = io->pool, .key = io->key, .op = TMEM_OP_PUT };
	struct tmem_queue *queue;
	unsigned long irq;
	int error;

	io_start(io, TMEM_OP_PUT, false);
	queue = tmem_queue_lock(io->pool->id, io->key.oid, &irq);
	if (queue->connection == held->connection) {
		error = may_post(queue, io->pool, TMEM_OP_PUT);
		what.slot = held->slot;
		what.keep_slot = true;
		if (!error)
			tmem_post(queue, &what, 0);
	} else {
		error = post_io(queue, io, 0);
	}
	if (error)
		no_room(io->pool);
	spin_unlock_irqrestore(&queue->lock, irq);
	return error;
}
EXPORT_SYMBOL_GPL(tmem_put_held);

int tmem_get(struct tmem_io *io, unsigned int flags)
{
	return take_io(io, TMEM_OP_GET, flags);
}
EXPORT_SYMBOL_GPL(tmem_get);

/* Post what waited, oldest first. What can never be posted goes to `failed`: refused. */
void tmem_run_waiting(struct tmem_queue *queue, struct list_head *failed)
{
	struct tmem_io *io, *next;
	int list;

	for (list = WAITING_LISTS - 1; list >= 0; list--) {
		list_for_each_entry_safe(io, next, &queue->waiting[list], link) {
			int error = post_io(queue, io, 0);

			if (!error)
				list_del(&io->link);
			else if (!may_wait(io, error))
				list_move_tail(&io->link, failed);
			else if (error == -EAGAIN)
				break;
		}
	}
}

int tmem_put_and_forget(struct tmem_pool *pool, const struct tmem_key *key, struct page *page,
			unsigned int offset)
{
	struct inflight what = { .pool = pool, .key = *key, .op = TMEM_OP_PUT, .forget = true };
	enum slot_kind kind = pool_persistent(pool) ? SLOT_PERSISTENT : SLOT_EPHEMERAL;
	struct tmem_queue *queue;
	unsigned long irq;
	int slot;

	queue = tmem_queue_lock(pool->id, key->oid, &irq);
	slot = may_post(queue, pool, TMEM_OP_PUT);
	if (!slot)
		slot = tmem_slot_take(queue, kind);
	if (slot >= 0) {
		copy_to_slot(queue->ring, slot, page, offset);
		what.slot = slot;
		tmem_post(queue, &what, 0);
		slot = 0;
	} else {
		no_room(pool);
	}
	spin_unlock_irqrestore(&queue->lock, irq);
	return slot;
}
EXPORT_SYMBOL_GPL(tmem_put_and_forget);

/* Does a get wait for room whose page the flush would take? queue->lock held. */
static bool overtakes_get(const struct tmem_queue *queue, const struct inflight *what)
{
	const struct tmem_io *io;

	list_for_each_entry(io, &queue->waiting[WAITING_GETS], link)
		if (io->pool == what->pool &&
		    !memcmp(io->key.oid, what->key.oid, sizeof(io->key.oid)) &&
		    (what->op == TMEM_OP_FLUSH_OBJECT || io->key.index == what->key.index))
			return true;
	return false;
}

static int flush(struct tmem_pool *pool, const struct tmem_key *key, u8 op)
{
	struct inflight what = {
		.pool = pool, .key = *key, .op = op, .slot = TMEM_NO_SLOT, .forget = true
	};
	struct tmem_queue *queue;
	unsigned long irq;
	int error;

	queue = tmem_queue_lock(pool->id, key->oid, &irq);
	error = may_post(queue, pool, op);
	if (!error && pool_persistent(pool) && overtakes_get(queue, &what))
		error = -EAGAIN;
	if (!error)
		tmem_post(queue, &what, 0);
	else
		no_room(pool);
	spin_unlock_irqrestore(&queue->lock, irq);
	return error;
}

int tmem_flush_page(struct tmem_pool *pool, const struct tmem_key *key)
{
	return flush(pool, key, TMEM_OP_FLUSH_PAGE);
}
EXPORT_SYMBOL_GPL(tmem_flush_page);

int tmem_flush_object(struct tmem_pool *pool, const u64 oid[3])
{
	struct tmem_key key = { .oid = { oid[0], oid[1], oid[2] } };

	return flush(pool, &key, TMEM_OP_FLUSH_OBJECT);
}
EXPORT_SYMBOL_GPL(tmem_flush_object);

void *tmem_io_staged(const struct tmem_io *io)
{
	return page_address(io->staged);
}
EXPORT_SYMBOL_GPL(tmem_io_staged);

void tmem_io_hold(struct tmem_io *io)
{
	get_page(io->staged);
	*io->held = true;
}
EXPORT_SYMBOL_GPL(tmem_io_hold);

void tmem_io_release(struct tmem_io *io)
{
	struct tmem_queue *queue = &tmem.queues[io->queue];
	unsigned long irq;

	spin_lock_irqsave(&queue->lock, irq);
	if (queue->ring && queue->connection == io->connection) {
		tmem_slot_give(queue, io->slot);
		tmem_queue_arm(queue); /* the tick posts what waits for a slot */
	}
	spin_unlock_irqrestore(&queue->lock, irq);
	put_page(io->staged);
}
EXPORT_SYMBOL_GPL(tmem_io_release);
