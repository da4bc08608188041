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
	u32 low, high, queues, order, slots, credits;
	int error = tmem_read_offer("version-min", 0, &low);

	error = error ?: tmem_read_offer("version-max", 0, &high);
	error = error ?: tmem_read_offer("max-queues", 1, &queues);
	error = error ?: tmem_read_offer("max-ring-order", 1, &order);
	error = error ?: tmem_read_offer("max-slots", TMEM_SLOTS_MIN, &slots);
	error = error ?: tmem_read_offer("feature-credits", 0, &credits);
	if (error)
		return error;
	if (low > TMEM_ABI_VERSION || high < TMEM_ABI_VERSION)
		return -EPROTONOSUPPORT;
	shape->queues = min3(queues, tmem_queues_wanted ? tmem_queues_wanted : num_online_cpus(),
			     (u32)TMEM_QUEUES_MAX);
	shape->order = clamp_t(u32, min(order, tmem_ring_order), TMEM_RING_ORDER_MIN,
			       TMEM_RING_ORDER_MAX);
	shape->slots = min3(slots, tmem_slots, (u32)(TMEM_PAGE_BYTES / sizeof(u32)));
	shape->credits = credits;
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
