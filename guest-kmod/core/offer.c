// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest offers the backend: rings, grants and ports, written to xenstore in one transaction.
 *
 * Context: the worker, lifecycle held.
 */
#include "core.h"

struct shape {
	u32 queues, order, slots;
	bool credits;
};

static int shape_choose(struct shape *shape)
{
	const char *backend = tmem.device->otherend;
	u32 low = xenbus_read_unsigned(backend, "version-min", 0);
	u32 high = xenbus_read_unsigned(backend, "version-max", 0);

	if (low > TMEM_ABI_VERSION || high < TMEM_ABI_VERSION)
		return -EPROTONOSUPPORT;
	shape->queues = min3(xenbus_read_unsigned(backend, "max-queues", 1),
			     tmem_queues_wanted ? tmem_queues_wanted : num_online_cpus(),
			     (unsigned int)TMEM_QUEUES_MAX);
	shape->order = min(xenbus_read_unsigned(backend, "max-ring-order", 1), tmem_ring_order);
	shape->slots = min3(xenbus_read_unsigned(backend, "max-slots", TMEM_SLOTS_MIN), tmem_slots,
			    (unsigned int)(TMEM_PAGE_BYTES / sizeof(u32)));
	shape->credits = xenbus_read_unsigned(backend, "feature-credits", 0);
	shape->order = clamp_t(u32, shape->order, TMEM_RING_ORDER_MIN, TMEM_RING_ORDER_MAX);
	if (!shape->queues || shape->slots < TMEM_SLOTS_MIN)
		return -EINVAL;
	return 0;
}

static int publish_queue(struct xenbus_transaction t, unsigned int number)
{
	const struct tmem_ring *ring = tmem.rings[number];
	char path[64], key[24];
	int error = 0;
	u32 i;

	snprintf(path, sizeof(path), "%s/queue-%u", tmem.device->nodename, number);
	for (i = 0; !error && i < 1u << ring->order; i++) {
		snprintf(key, sizeof(key), "ring-ref-%u", i);
		error = xenbus_printf(t, path, key, "%u", ring->pages[i].ref);
	}
	error = error ?: xenbus_printf(t, path, "slot-directory", "%u",
				       ring->pages[ring->page_count - 1].ref);
	return error ?: xenbus_printf(t, path, "event-channel", "%u", ring->port);
}

static int publish(const struct shape *shape)
{
	const char *node = tmem.device->nodename;
	struct xenbus_transaction t;
	unsigned int i;
	int error;

	do {
		error = xenbus_transaction_start(&t);
		if (error)
			return error;
		error = xenbus_printf(t, node, "version", "%u", TMEM_ABI_VERSION);
		error = error ?: xenbus_printf(t, node, "num-queues", "%u", shape->queues);
		error = error ?: xenbus_printf(t, node, "ring-order", "%u", shape->order);
		error = error ?: xenbus_printf(t, node, "num-slots", "%u", shape->slots);
		error = error ?: xenbus_printf(t, node, "feature-credits", "%u", shape->credits);
		for (i = 0; !error && i < shape->queues; i++)
			error = publish_queue(t, i);
		if (error) {
			xenbus_transaction_end(t, 1);
			return error;
		}
		error = xenbus_transaction_end(t, 0);
	} while (error == -EAGAIN);
	return error;
}

/* Offer rings to the backend. lifecycle held. */
int tmem_offer(void)
{
	struct shape shape;
	unsigned int i;
	int error;

	error = shape_choose(&shape);
	if (error)
		return error;
	for (i = 0; i < shape.queues; i++) {
		struct tmem_ring *ring;

		ring = tmem_ring_create(tmem.device, shape.order, shape.slots);
		if (IS_ERR(ring)) {
			error = PTR_ERR(ring);
			break;
		}
		tmem.rings[tmem.ring_count++] = ring;
		error = tmem_queue_bind(&tmem.queues[i], ring);
		if (error)
			break;
	}
	error = error ?: publish(&shape);
	if (error) {
		tmem_rings_free();
		return error;
	}
	tmem.features = shape.credits ? TMEM_FEATURE_CREDITS : 0;
	tmem.published_migrate = -1;
	tmem.published_evacuating = -1;
	tmem.published_error = PUBLISHED_UNKNOWN;
	return xenbus_switch_state(tmem.device, XenbusStateInitialised);
}
