// SPDX-License-Identifier: GPL-2.0-only
/*
 * Responses, and what a lost connection leaves behind.
 *
 * The daemon is trusted less than the kernel: counters, ids and statuses are copied once and
 * checked; the first nonsense ends the connection. It is never trusted with more than the bytes of
 * the pages that it was given.
 *
 * Responses are taken by one thread at a time: the queue's interrupt thread, or the worker while that
 * thread is gone or kept out.
 */
#include <linux/highmem.h>
#include "core.h"

#define BATCH 16

struct answer {
	struct inflight to;
	int error;	 /* as in tmem_io, 0 for ok */
	int status;	 /* enum tmem_status, or negative: never answered */
	bool keep_slot;
};

static int error_of(int status, u8 op)
{
	switch (status) {
	case TMEM_OK:
		return 0;
	case TMEM_MISS:
		return op == TMEM_OP_GET ? -ENOENT : 0;
	case TMEM_NO_SPACE:
	case TMEM_FROZEN:
		return -ENOSPC;
	case TMEM_STALE_EPOCH:
		return -ESTALE;
	default:
		return status < 0 ? status : -EIO;
	}
}

static void count(struct tmem_pool *pool, u8 op, int status)
{
	static const u8 ok[] = {
		[TMEM_OP_PUT] = STAT_PUT_OK,
		[TMEM_OP_GET] = STAT_GET_OK,
		[TMEM_OP_FLUSH_PAGE] = STAT_FLUSH_OK,
		[TMEM_OP_FLUSH_OBJECT] = STAT_FLUSH_OBJECT,
	};

	if (op < TMEM_OP_PUT || op > TMEM_OP_FLUSH_OBJECT)
		return;
	if (status >= 0)
		tmem_pool_is_back(pool);
	if (status < 0)
		pool_count(pool, STAT_LOST);
	else if (status == TMEM_OK || (status == TMEM_MISS && op == TMEM_OP_FLUSH_OBJECT))
		pool_count(pool, ok[op]);
	else if (status == TMEM_MISS)
		pool_count(pool, op == TMEM_OP_GET ? STAT_GET_MISS : STAT_FLUSH_MISS);
	else if (status == TMEM_NO_SPACE)
		pool_count(pool, STAT_PUT_NO_SPACE);
	else if (status == TMEM_FROZEN)
		pool_count(pool, STAT_PUT_FROZEN);
	else if (status == TMEM_STALE_EPOCH)
		pool_count(pool, STAT_STALE);
	else
		pool_count(pool, STAT_FAILED);
}

/* A put or get that may be tried again goes back to the front of those that wait. */
static bool retry(const struct answer *answer)
{
	struct tmem_io *io = answer->to.io;
	struct tmem_queue *queue;
	unsigned long irq;
	int list;

	if (!io->waits || io->credited)
		return false;
	if (answer->error != -ENOTCONN && !(answer->error == -ESTALE && io->op == TMEM_OP_PUT))
		return false;
	list = io->op == TMEM_OP_PUT ? WAITING_PUTS : WAITING_GETS;
	queue = tmem_queue_lock(io->pool->id, io->key.oid, &irq);
	list_add(&io->link, &queue->waiting[list]);
	tmem_queue_arm(queue);
	spin_unlock_irqrestore(&queue->lock, irq);
	return true;
}

/* The last look at a pool: whoever closes it waits for this. */
static void answered(struct tmem_pool *pool)
{
	if (atomic_dec_and_test(&pool->inflight))
		wake_up(&tmem.drained);
}

static void deliver(struct tmem_queue *queue, struct tmem_ring *ring, struct answer *answer)
{
	struct inflight *to = &answer->to;
	struct tmem_pool *pool = to->pool;
	struct tmem_io *io = to->io;

	count(pool, to->op, answer->status);
	if (to->command) {
		to->command->status = answer->status;
		answered(pool);
		complete(&to->command->done);
		return;
	}
	if (to->forget) {
		if (answer->error && pool->ops->dropped)
			pool->ops->dropped(pool->ctx, to->op, &to->key, answer->error);
	} else if (io && !retry(answer)) {
		if (to->op == TMEM_OP_GET && !answer->error) {
			void *page = kmap_local_page(io->page);

			memcpy(page + io->offset, page_address(ring->slot_pages[to->slot]),
			       TMEM_PAGE_BYTES);
			kunmap_local(page);
		}
		io->error = answer->error;
		io->held = &answer->keep_slot;
		io->done(io);
	}
	answered(pool);
}

static bool status_valid(u16 status, u8 op)
{
	switch (status) {
	case TMEM_OK:
	case TMEM_NO_SUCH_POOL:
	case TMEM_STALE_EPOCH:
	case TMEM_BAD_REQUEST:
		return true;
	case TMEM_MISS:
		return op == TMEM_OP_GET || op == TMEM_OP_FLUSH_PAGE || op == TMEM_OP_FLUSH_OBJECT;
	case TMEM_NO_SPACE:
	case TMEM_FROZEN:
		return op == TMEM_OP_PUT;
	case TMEM_REFUSED:
		return op == TMEM_OP_POOL_CREATE;
	default:
		return false;
	}
}

/* Take up to BATCH responses off the ring. queue->lock held. */
static unsigned int collect(struct tmem_queue *queue, struct answer *answers)
{
	struct tmem_ring *ring = queue->ring;
	unsigned int taken = 0;
	u32 rsp_prod;

	/* The responses up to the counter are read after it. */
	rsp_prod = virt_load_acquire(&ring->control->rsp_prod);
	if (rsp_prod - queue->rsp_cons > queue_in_flight(queue)) {
		tmem_break("impossible response counter");
		return 0;
	}
	while (queue->rsp_cons != rsp_prod && taken < BATCH) {
		u32 entry = queue->rsp_cons & (ring->entries - 1);
		struct answer *answer = &answers[taken];
		u64 id = READ_ONCE(ring->responses[entry].id);
		u16 status = READ_ONCE(ring->responses[entry].status);

		answer->to = ring->inflight[entry];
		if (id != queue->rsp_cons || !status_valid(status, answer->to.op)) {
			tmem_break("nonsense in a response");
			break;
		}
		answer->status = status;
		answer->error = error_of(status, answer->to.op);
		answer->keep_slot = answer->to.keep_slot;
		ring->inflight[entry].io = NULL;
		queue->rsp_cons++;
		taken++;
	}
	if (taken) {
		queue->progress = jiffies;
		queue->stalled = false;
	}
	return taken;
}

/* queue->lock held: ask to be woken, and make sure that nothing came meanwhile. */
static bool more(struct tmem_queue *queue)
{
	struct tmem_control_page *control = queue->ring->control;

	WRITE_ONCE(control->rsp_event, queue->rsp_cons);
	virt_mb(); /* the event counter is out before the producer is read again */
	return READ_ONCE(control->rsp_prod) != queue->rsp_cons;
}

/* queue->lock held: what the daemon says about itself in the control page. */
void tmem_look_at_daemon(struct tmem_queue *queue)
{
	struct tmem_control_page *control = queue->ring->control;

	if (READ_ONCE(control->closed) || READ_ONCE(control->store_epoch) != queue->epoch)
		tmem_look();
}

static void give_slots(struct tmem_queue *queue, const struct answer *answers, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (answers[i].to.slot != TMEM_NO_SLOT && !answers[i].keep_slot)
			tmem_slot_give(queue, answers[i].to.slot);
}

void tmem_complete(struct list_head *ios, int error)
{
	struct tmem_io *io, *next;

	list_for_each_entry_safe(io, next, ios, link) {
		io->error = error;
		io->done(io);
	}
}

/* Handle all responses there are. The ring does not go away meanwhile: see the top. */
bool tmem_queue_service(struct tmem_queue *queue)
{
	struct answer answers[BATCH];
	struct tmem_ring *ring;
	unsigned long irq;
	unsigned int i, taken;
	bool any = false;
	LIST_HEAD(refused);

	spin_lock_irqsave(&queue->lock, irq);
	ring = queue->ring;
	while (ring && !READ_ONCE(tmem.broken) && !READ_ONCE(tmem.suspended)) {
		taken = collect(queue, answers);
		if (!taken) {
			if (READ_ONCE(tmem.broken) || !more(queue))
				break;
			continue;
		}
		any = true;
		spin_unlock_irqrestore(&queue->lock, irq);
		for (i = 0; i < taken; i++)
			deliver(queue, ring, &answers[i]);
		spin_lock_irqsave(&queue->lock, irq);
		give_slots(queue, answers, taken);
		tmem_run_waiting(queue, &refused);
	}
	if (ring)
		tmem_look_at_daemon(queue);
	spin_unlock_irqrestore(&queue->lock, irq);
	tmem_complete(&refused, -ECANCELED);
	tmem_room();
	return any;
}

/* Post what waits, after a change of the pool or the connection. */
void tmem_queue_retry(struct tmem_queue *queue)
{
	unsigned long irq;
	LIST_HEAD(refused);

	spin_lock_irqsave(&queue->lock, irq);
	tmem_run_waiting(queue, &refused);
	spin_unlock_irqrestore(&queue->lock, irq);
	tmem_complete(&refused, -ECANCELED);
}

/* The connection is over: take the ring away and tell everyone in it. Interrupt unbound. */
void tmem_queue_abandon(struct tmem_queue *queue)
{
	struct tmem_ring *ring;
	unsigned long irq;
	u32 i, end;

	spin_lock_irqsave(&queue->lock, irq);
	ring = queue->ring;
	WRITE_ONCE(queue->ring, NULL);
	i = queue->rsp_cons;
	end = queue->req_prod;
	spin_unlock_irqrestore(&queue->lock, irq);
	if (!ring)
		return;
	for (; i != end; i++) {
		struct answer answer = {
			.to = ring->inflight[i & (ring->entries - 1)],
			.status = -ENOTCONN,
			.error = -ENOTCONN,
		};

		deliver(queue, ring, &answer);
	}
}
