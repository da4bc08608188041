// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time-outs.
 *
 * A request that timed out keeps its ring entry, slot and order until it is answered; only its io
 * is let go. A daemon that is there but answers nothing at all loses the connection.
 *
 * Context: the queue's timer (softirq).
 */
#include "core.h"

static bool expired(const struct tmem_io *io, unsigned long now)
{
	return io && !io->credited && time_after_eq(now, io->deadline);
}

static void expire_posted(struct tmem_queue *queue, unsigned long now, struct list_head *late)
{
	struct tmem_ring *ring = queue->ring;
	u32 i;

	for (i = queue->rsp_cons; i != queue->req_prod; i++) {
		struct inflight *to = &ring->inflight[i & (ring->entries - 1)];

		/* The slot of a held page must not be given back while the daemon may read it. */
		if (!expired(to->io, now) || to->keep_slot)
			continue;
		list_add_tail(&to->io->link, late);
		if (to->op == TMEM_OP_GET && !pool_persistent(to->pool))
			queue->stalled = true;
		to->io = NULL;
	}
	/* One that comes back has as long as the one before. */
	if (!READ_ONCE(ring->control->served))
		queue->progress = now;
	if (queue_in_flight(queue) &&
	    time_after(now, queue->progress + msecs_to_jiffies(READ_ONCE(tmem_silent_ms))))
		tmem_break("no response for too long");
	tmem_look_at_daemon(queue);
}

/* The timer's tick. Softirq. */
void tmem_queue_expire(struct tmem_queue *queue)
{
	unsigned long now = jiffies, irq;
	struct tmem_io *io, *next;
	bool busy = false;
	LIST_HEAD(late);
	LIST_HEAD(refused);
	int list;

	spin_lock_irqsave(&queue->lock, irq);
	if (queue->ring)
		expire_posted(queue, now, &late);
	for (list = 0; list < WAITING_LISTS; list++)
		list_for_each_entry_safe(io, next, &queue->waiting[list], link)
			if (expired(io, now))
				list_move_tail(&io->link, &late);
	tmem_run_waiting(queue, &refused);
	for (list = 0; list < WAITING_LISTS; list++)
		busy |= !list_empty(&queue->waiting[list]);
	if (busy || (queue->ring && queue_in_flight(queue)))
		tmem_queue_arm(queue);
	spin_unlock_irqrestore(&queue->lock, irq);

	list_for_each_entry(io, &late, link)
		pool_count(io->pool, STAT_TIMED_OUT);
	tmem_complete(&late, -ETIMEDOUT);
	tmem_complete(&refused, -ECANCELED);
	tmem_room();
}
