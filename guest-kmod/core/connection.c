// SPDX-License-Identifier: GPL-2.0-only
/*
 * The xenbus device: when to connect, when to let go.
 *
 * One worker does it all, one step at a time, under lifecycle. Whatever happens (the backend
 * changes its state, the daemon closes a queue or shows another epoch, a response is nonsense, the
 * guest was restored) only wakes it; it looks at everything and moves. So no two steps ever overlap.
 *
 * The worker allocates with GFP_NOIO and has a rescuer: swap may wait for it.
 */
#include <linux/sched/mm.h>
#include <xen/events.h>
#include "core.h"

#define OFFER_MS 3000 /* between looks at an offer that is not answered */
#define RETRY_MAX_MS 60000
#define UNREADABLE_MS 1000

void tmem_look(void)
{
	mod_delayed_work(tmem.worker, &tmem.manage, 0);
}

void tmem_look_later(unsigned int delay_ms)
{
	queue_delayed_work(tmem.worker, &tmem.manage, msecs_to_jiffies(delay_ms));
}

/* The connection is unusable. Any context. */
void tmem_break(const char *why)
{
	if (READ_ONCE(tmem.broken))
		return;
	WRITE_ONCE(tmem.broken, true);
	pr_warn_ratelimited("tmem: connection given up: %s\n", why);
	tmem_look();
}

void tmem_rings_free(void)
{
	unsigned int i;

	for (i = 0; i < tmem.ring_count; i++) {
		tmem_queue_unbind(&tmem.queues[i], tmem.rings[i]);
		tmem_ring_destroy(tmem.rings[i]);
		tmem.rings[i] = NULL;
	}
	tmem.ring_count = 0;
}

/* Let go of the connection, whatever state it is in. lifecycle held. */
void tmem_disconnect(bool take_answers)
{
	unsigned long irq;
	unsigned int i;

	if (!tmem.ring_count)
		return;
	tmem.serving = false;
	tmem_pools_down();
	spin_lock_irqsave(&tmem.credit_lock, irq);
	tmem.credits = NULL;
	spin_unlock_irqrestore(&tmem.credit_lock, irq);
	for (i = 0; i < tmem.ring_count; i++)
		tmem_queue_unbind(&tmem.queues[i], tmem.rings[i]);
	for (i = 0; i < tmem.ring_count; i++) {
		if (take_answers)
			tmem_queue_service(&tmem.queues[i]);
		if (tmem.queues[i].ring && queue_in_flight(&tmem.queues[i]))
			core_count(CORE_ABANDONED);
		tmem_queue_abandon(&tmem.queues[i]);
	}
	tmem_rings_free();
}

static bool control_right(unsigned int number)
{
	const struct tmem_ring *ring = tmem.rings[number];
	struct tmem_control_page *control = ring->control;

	return READ_ONCE(control->magic) == TMEM_CONTROL_MAGIC &&
	       READ_ONCE(control->version) == TMEM_ABI_VERSION &&
	       READ_ONCE(control->queue) == number &&
	       READ_ONCE(control->queues) == tmem.ring_count &&
	       READ_ONCE(control->entries) == ring->entries &&
	       READ_ONCE(control->slots) == ring->slots &&
	       !(READ_ONCE(control->features) & ~tmem.features) &&
	       READ_ONCE(control->store_epoch) == READ_ONCE(tmem.rings[0]->control->store_epoch);
}

/* Posts that waited without a connection go to the queues of this one. */
static void waiting_redistribute(void)
{
	struct tmem_io *io, *next;
	unsigned long irq;
	unsigned int i;
	int list;

	for (list = 0; list < WAITING_LISTS; list++) {
		LIST_HEAD(all);

		for (i = 0; i < TMEM_QUEUES_MAX; i++) {
			spin_lock_irqsave(&tmem.queues[i].lock, irq);
			list_splice_tail_init(&tmem.queues[i].waiting[list], &all);
			spin_unlock_irqrestore(&tmem.queues[i].lock, irq);
		}
		list_for_each_entry_safe(io, next, &all, link) {
			struct tmem_queue *queue =
				tmem_queue_lock(io->pool->id, io->key.oid, &irq);

			list_add_tail(&io->link, &queue->waiting[list]);
			tmem_queue_arm(queue);
			spin_unlock_irqrestore(&queue->lock, irq);
		}
	}
}

/* The backend serves the rings. */
static int connect_finish(void)
{
	unsigned long irq;
	unsigned int i;

	for (i = 0; i < tmem.ring_count; i++)
		if (!control_right(i))
			return -EPROTO;
	tmem.epoch = READ_ONCE(tmem.rings[0]->control->store_epoch);
	tmem.connection++;
	tmem.serving = true;
	tmem.retry_ms = 0;
	WRITE_ONCE(tmem.queue_count, tmem.ring_count);
	waiting_redistribute();
	spin_lock_irqsave(&tmem.credit_lock, irq);
	tmem.credits_used = 0;
	tmem.credits_max = tmem.ring_count * tmem_slots_for_persistent(tmem.rings[0]->slots);
	if (READ_ONCE(tmem.rings[0]->control->features) & TMEM_FEATURE_CREDITS)
		tmem.credits = tmem.rings[0]->control;
	spin_unlock_irqrestore(&tmem.credit_lock, irq);
	for (i = 0; i < tmem.ring_count; i++)
		tmem_queue_start(&tmem.queues[i], tmem.rings[i]);
	core_count(CORE_CONNECTS);
	pr_info("tmem: connected, %u queues of %u requests and %u slots, epoch %016llx\n",
		tmem.ring_count, tmem.rings[0]->entries, tmem.rings[0]->slots, tmem.epoch);
	return xenbus_switch_state(tmem.device, XenbusStateConnected);
}

/* Another daemon without the old memory took the rings over: all that was put is lost. */
static void epoch_follow(void)
{
	u64 epoch = READ_ONCE(tmem.rings[0]->control->store_epoch);
	unsigned long irq;
	unsigned int i;

	if (epoch == tmem.epoch)
		return;
	for (i = 1; i < tmem.ring_count; i++) {
		if (READ_ONCE(tmem.rings[i]->control->store_epoch) != epoch) {
			tmem_look_later(10);
			return;
		}
	}
	tmem_pools_down();
	tmem.epoch = epoch;
	for (i = 0; i < tmem.ring_count; i++) {
		spin_lock_irqsave(&tmem.queues[i].lock, irq);
		tmem.queues[i].epoch = epoch;
		spin_unlock_irqrestore(&tmem.queues[i].lock, irq);
	}
	core_count(CORE_EPOCHS);
	pr_info("tmem: the pool was lost, new epoch %016llx\n", epoch);
}

static void serve(void)
{
	unsigned int i;

	for (i = 0; i < tmem.ring_count; i++) {
		if (READ_ONCE(tmem.rings[i]->control->closed)) {
			tmem_break("closed by the daemon");
			return;
		}
	}
	epoch_follow();
	if (tmem_read_evacuate(&tmem.evacuate) ||
	    tmem_read_offer("write-back", 0, &tmem.write_back_kib_s))
		tmem_look_later(UNREADABLE_MS);
	if (!tmem.evacuate) {
		WRITE_ONCE(tmem.evacuate_error, NULL);
		tmem_publish_evacuating();
	}
	tmem_pools_evacuate(tmem.evacuate); /* first: a pool that is up takes puts */
	tmem_pools_write_back(tmem.write_back_kib_s);
	tmem_pools_up();
	if (tmem_publish_migration())
		tmem_publish_evacuating();
	else
		tmem_look_later(1000);
}

static void close_connection(void)
{
	tmem_disconnect(true);
	xenbus_switch_state(tmem.device, XenbusStateClosed);
}

/* Our nodes were made anew since the offer. */
static bool offer_void(void)
{
	enum xenbus_state state;

	return !tmem_read_state(tmem.device->nodename, &state) &&
	       state != XenbusStateInitialised;
}

static void move(enum xenbus_state backend)
{
	int error = 0;

	switch (backend) {
	case XenbusStateInitWait:
		if (tmem.serving) /* the backend began anew without us */
			close_connection();
		else if (!tmem.ring_count)
			error = tmem_offer();
		else if (offer_void())
			close_connection();
		if (!error)
			tmem_look_later(OFFER_MS);
		break;
	case XenbusStateConnected:
		if (tmem.ring_count && !tmem.serving)
			error = connect_finish();
		else if (!tmem.ring_count)
			close_connection();
		if (!error && tmem.serving)
			serve();
		break;
	case XenbusStateInitialising:
	case XenbusStateInitialised:
		break;
	default:
		close_connection();
	}
	if (error) {
		xenbus_dev_error(tmem.device, error, "connecting");
		close_connection();
		tmem.retry_ms = clamp(2 * tmem.retry_ms, OFFER_MS, RETRY_MAX_MS);
		tmem_look_later(tmem.retry_ms);
	}
}

/*
 * The guest runs on, here or in another domain, where rings, ports and grants are gone. In what was
 * saved, answers may be newer than the pages they speak of: what the daemon writes through its
 * mappings is not seen by who saves a running guest. So they are worth nothing there.
 */
static void wake(void)
{
	unsigned int i;

	if (xchg(&tmem.resumed, false)) {
		tmem_disconnect(false);
		WRITE_ONCE(tmem.broken, false);
	}
	WRITE_ONCE(tmem.suspended, false);
	for (i = 0; i < tmem.ring_count; i++) {
		disable_irq(tmem.rings[i]->irq); /* and its thread: see answer.c */
		tmem_queue_service(&tmem.queues[i]);
		enable_irq(tmem.rings[i]->irq);
	}
}

static void manage(struct work_struct *work)
{
	unsigned int noio = memalloc_noio_save();
	enum xenbus_state backend;

	mutex_lock(&tmem.lifecycle);
	if (tmem.device && (tmem.suspended || READ_ONCE(tmem.resumed)))
		wake();
	if (tmem.device && READ_ONCE(tmem.broken)) {
		close_connection();
		WRITE_ONCE(tmem.broken, false);
	}
	if (tmem.device && tmem.device->otherend) {
		if (tmem_read_state(tmem.device->otherend, &backend)) {
			backend = tmem.serving ? XenbusStateConnected : XenbusStateInitialising;
			tmem_look_later(UNREADABLE_MS);
		}
		move(backend);
	}
	mutex_unlock(&tmem.lifecycle);
	memalloc_noio_restore(noio);
}

static int frontend_probe(struct xenbus_device *device, const struct xenbus_device_id *id)
{
	mutex_lock(&tmem.lifecycle);
	if (tmem.device) {
		mutex_unlock(&tmem.lifecycle);
		return -EBUSY;
	}
	tmem.device = device;
	mutex_unlock(&tmem.lifecycle);
	tmem_look();
	return 0;
}

static tmem_remove_result frontend_remove(struct xenbus_device *device)
{
	mutex_lock(&tmem.lifecycle);
	if (tmem.device == device) {
		tmem_disconnect(true);
		tmem.device = NULL;
	}
	mutex_unlock(&tmem.lifecycle);
	return TMEM_REMOVE_RESULT;
}

static void backend_changed(struct xenbus_device *device, enum xenbus_state state)
{
	tmem_look();
}

/* Tasks and the worker are frozen. When they thaw the worker finds out what became of the guest. */
static int frontend_suspend(struct xenbus_device *device)
{
	unsigned int i;

	mutex_lock(&tmem.lifecycle);
	WRITE_ONCE(tmem.suspended, true);
	for (i = 0; i < tmem.ring_count; i++)
		synchronize_irq(tmem.rings[i]->irq);
	mutex_unlock(&tmem.lifecycle);
	tmem_look();
	return 0;
}

static int frontend_resume(struct xenbus_device *device)
{
	WRITE_ONCE(tmem.resumed, true);
	tmem_look();
	return 0;
}

static const struct xenbus_device_id tmem_ids[] = { { "tmem" }, { "" } };

static struct xenbus_driver frontend = {
	.ids = tmem_ids,
	TMEM_NOT_ESSENTIAL
	.probe = frontend_probe,
	.remove = frontend_remove,
	.suspend = frontend_suspend,
	.resume = frontend_resume,
	.otherend_changed = backend_changed,
};

int tmem_frontend_register(void)
{
	int error;

	INIT_DELAYED_WORK(&tmem.manage, manage);
	INIT_DELAYED_WORK(&tmem.reap, tmem_reap);
	tmem.worker = alloc_ordered_workqueue("tmem",
					      WQ_MEM_RECLAIM | WQ_HIGHPRI | WQ_FREEZABLE);
	if (!tmem.worker)
		return -ENOMEM;
	error = xenbus_register_frontend(&frontend);
	if (error)
		destroy_workqueue(tmem.worker);
	else
		frontend.read_otherend_details = tmem_read_backend;
	return error;
}

void tmem_frontend_unregister(void)
{
	xenbus_unregister_driver(&frontend);
	cancel_delayed_work_sync(&tmem.manage);
	cancel_delayed_work_sync(&tmem.reap);
	destroy_workqueue(tmem.worker);
}
