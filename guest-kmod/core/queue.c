// SPDX-License-Identifier: GPL-2.0-only
/*
 * A queue over its connections: event channel, timer, slots.
 *
 * Responses are handled in a threaded interrupt handler. Its thread has real-time priority, needs
 * no memory to run (a work item may have to wait for its rescuer), and may be preempted while it
 * copies up to a ring full of pages, which a hard interrupt handler must not keep others waiting for.
 *
 * Lock: tmem_queue.lock, see core.h.
 */
#include <linux/interrupt.h>
#include <xen/events.h>
#include "core.h"

#define EMPTY_EVENTS_MAX 16
#define TICK max_t(unsigned long, HZ / 50, 1) /* resolution of the time-outs */

/*
 * An event may find its responses taken already; only a row of such events is called spurious,
 * which makes Xen's event code slow the sender down.
 */
static irqreturn_t queue_event(int irq, void *data)
{
	struct tmem_queue *queue = data;

	core_count(CORE_EVENTS_RECEIVED);
	if (tmem_queue_service(queue))
		queue->empty_events = 0;
	else if (queue->empty_events < EMPTY_EVENTS_MAX)
		queue->empty_events++;
	xen_irq_lateeoi(irq, queue->empty_events < EMPTY_EVENTS_MAX ? 0 : XEN_EOI_FLAG_SPURIOUS);
	return IRQ_HANDLED;
}

static void queue_tick(struct timer_list *timer)
{
	struct tmem_queue *queue = tmem_from_timer(queue, timer, timer);

	tmem_queue_expire(queue);
}

/* Some post is under way: see to its time-out. queue->lock held. */
void tmem_queue_arm(struct tmem_queue *queue)
{
	if (!timer_pending(&queue->timer))
		mod_timer(&queue->timer, jiffies + TICK);
}

void tmem_queue_init(struct tmem_queue *queue, unsigned int number)
{
	int i;

	queue->number = number;
	spin_lock_init(&queue->lock);
	for (i = 0; i < WAITING_LISTS; i++)
		INIT_LIST_HEAD(&queue->waiting[i]);
	timer_setup(&queue->timer, queue_tick, 0);
}

void tmem_queue_exit(struct tmem_queue *queue)
{
	tmem_timer_delete_sync(&queue->timer);
}

int tmem_queue_bind(struct tmem_queue *queue, struct tmem_ring *ring)
{
	int irq, error;

	error = xenbus_alloc_evtchn(tmem.device, &ring->port);
	if (error)
		return error;
	irq = bind_evtchn_to_irq_lateeoi(ring->port);
	if (irq < 0) {
		xenbus_free_evtchn(tmem.device, ring->port);
		return irq;
	}
	error = request_threaded_irq(irq, NULL, queue_event, IRQF_ONESHOT, "tmem", queue);
	if (error) {
		evtchn_put(ring->port);
		return error;
	}
	ring->irq = irq;
	return 0;
}

/* After this no handler of the queue runs. Also closes the port. */
void tmem_queue_unbind(struct tmem_queue *queue, struct tmem_ring *ring)
{
	if (ring->irq)
		unbind_from_irqhandler(ring->irq, queue);
	ring->irq = 0;
}

static void slots_reset(struct tmem_queue *queue, struct tmem_ring *ring)
{
	u32 gets = tmem_slots_for_gets(ring->slots);
	u32 persistent = tmem_slots_for_persistent(ring->slots);
	u32 i;

	queue->free_base[SLOT_PERSISTENT] = 0;
	queue->free_base[SLOT_EPHEMERAL] = persistent;
	queue->free_base[SLOT_GET] = ring->slots - gets;
	queue->free_count[SLOT_PERSISTENT] = persistent;
	queue->free_count[SLOT_EPHEMERAL] = ring->slots - gets - persistent;
	queue->free_count[SLOT_GET] = gets;
	for (i = 0; i < ring->slots; i++)
		ring->free_slots[i] = i;
}

/* The daemon serves the ring: posts go there. */
void tmem_queue_start(struct tmem_queue *queue, struct tmem_ring *ring)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	slots_reset(queue, ring);
	queue->req_prod = 0;
	queue->rsp_cons = 0;
	queue->stalled = false;
	queue->progress = jiffies;
	queue->connection = tmem.connection;
	queue->epoch = tmem.epoch;
	WRITE_ONCE(queue->ring, ring);
	spin_unlock_irqrestore(&queue->lock, flags);
}

/* queue->lock held. Returns a slot's number or -EAGAIN. */
int tmem_slot_take(struct tmem_queue *queue, enum slot_kind kind)
{
	if (!queue->free_count[kind])
		return -EAGAIN;
	return queue->ring->free_slots[queue->free_base[kind] + --queue->free_count[kind]];
}

void tmem_slot_give(struct tmem_queue *queue, u32 slot)
{
	enum slot_kind kind = SLOT_GET;

	if (slot < queue->free_base[SLOT_EPHEMERAL])
		kind = SLOT_PERSISTENT;
	else if (slot < queue->free_base[SLOT_GET])
		kind = SLOT_EPHEMERAL;
	queue->ring->free_slots[queue->free_base[kind] + queue->free_count[kind]++] = slot;
}

/*
 * Lock the queue of an object. The number of queues changes only while no queue has a ring; who
 * changes it takes each queue's lock afterwards, so what is seen under the lock stays true.
 */
struct tmem_queue *tmem_queue_lock(u32 pool, const u64 oid[3], unsigned long *flags)
{
	for (;;) {
		u32 queues = READ_ONCE(tmem.queue_count);
		struct tmem_queue *queue = &tmem.queues[tmem_queue_of(pool, oid, queues)];

		spin_lock_irqsave(&queue->lock, *flags);
		if (READ_ONCE(tmem.queue_count) == queues)
			return queue;
		spin_unlock_irqrestore(&queue->lock, *flags);
	}
}
