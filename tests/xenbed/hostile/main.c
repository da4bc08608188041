// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tmem_hostile: the module and its threads. Dom0 gives orders by the guest's node data/attack: the name
 * of what it does from then on; `none` closes the connection. The order before is accounted for in
 * data/counts when it has ended. While data/turn is 0 an attack does nothing to the daemon.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "hostile.h"

struct hostile_counts hostile_counts;

static const struct attack attacks[] = {
	{ "none", NULL },
	{ "quiet", quiet },
	{ "indices", attack_indices },
	{ "rewind", attack_rewind },
	{ "requests", attack_requests },
	{ "rewrite", attack_rewrite },
	{ "events", attack_events },
	{ "values", attack_values },
	{ "ports", attack_ports },
	{ "grants", attack_grants },
	{ "states", attack_states },
	{ "reconnect", attack_reconnect },
	{ "flood", attack_flood },
	{ "pingpong", attack_pingpong },
};

static const struct attack *wanted = attacks;
static const struct attack *running = attacks; /* the thread's */
static bool our_turn = true;
static struct task_struct *thread, *burner;

bool attack_over(void)
{
	return READ_ONCE(wanted) != running || kthread_should_stop();
}

bool attack_may_go_on(void)
{
	return READ_ONCE(our_turn) || running->round == quiet || attack_over();
}

void attack_wait_turn(void)
{
	wait_event_idle(hostile_link.wait, attack_may_go_on());
}

/* What happened under the last attack goes to data/counts, for dom0. */
static void publish(const char *name)
{
	const struct hostile_counts *c = &hostile_counts;

	xenbus_printf(XBT_NIL, "data", "counts",
		      "attack=%s offers=%lu connected=%lu refused=%lu closed=%lu posted=%lu answered=%lu bad=%lu events=%lu writes=%lu silent=%lu still_mapped=%lu wrong=%lu",
		      name, c->offers, c->connected, c->refused, c->closed, c->posted, c->answered,
		      c->bad, c->events, c->writes, c->silent, c->still_mapped, c->wrong);
}

static void order_changed(struct xenbus_watch *watch, const char *path, const char *token)
{
	char *text = xenbus_read(XBT_NIL, "data", "attack", NULL);
	size_t i;

	if (IS_ERR(text))
		return;
	for (i = 0; i < ARRAY_SIZE(attacks); i++)
		if (!strcmp(text, attacks[i].name))
			WRITE_ONCE(wanted, &attacks[i]);
	kfree(text);
	wake_up(&hostile_link.wait);
}

static struct xenbus_watch order = { .node = "data/attack", .callback = order_changed };

static void turn_changed(struct xenbus_watch *watch, const char *path, const char *token)
{
	WRITE_ONCE(our_turn, xenbus_read_unsigned("data", "turn", 1) != 0);
	wake_up(&hostile_link.wait);
}

static struct xenbus_watch turn = { .node = "data/turn", .callback = turn_changed };

/*
 * Takes what time of the CPU an attack (or being quiet) leaves, so that the guest has the same share of
 * the host's CPU in every phase.
 */
static int burn(void *data)
{
	set_user_nice(current, MAX_NICE);
	while (!kthread_should_stop()) {
		if (!READ_ONCE(wanted)->round)
			msleep(50);
		cond_resched();
	}
	return 0;
}

static int work(void *data)
{
	while (!kthread_should_stop()) {
		running = READ_ONCE(wanted);
		if (!running->round) {
			wait_event_idle(hostile_link.wait, attack_over());
			continue;
		}
		memset(&hostile_counts, 0, sizeof(hostile_counts));
		while (!attack_over()) {
			running->round();
			link_close();
		}
		publish(running->name);
	}
	return 0;
}

static int probe(struct xenbus_device *device, const struct xenbus_device_id *id)
{
	if (thread)
		return -EBUSY;
	hostile_link.device = device;
	hostile_link.backend = xenbus_read_driver_state(device->otherend);
	thread = kthread_run(work, NULL, "tmem_hostile");
	if (IS_ERR(thread)) {
		thread = NULL;
		return -ENOMEM;
	}
	return 0;
}

static void remove(struct xenbus_device *device)
{
	if (hostile_link.device != device)
		return;
	kthread_stop(thread);
	thread = NULL;
	hostile_link.device = NULL;
}

static void backend_changed(struct xenbus_device *device, enum xenbus_state state)
{
	WRITE_ONCE(hostile_link.backend, state);
	wake_up(&hostile_link.wait);
}

static const struct xenbus_device_id ids[] = { { "tmem" }, { "" } };

static struct xenbus_driver driver = {
	.ids = ids,
	.name = "tmem_hostile",
	.not_essential = true,
	.probe = probe,
	.remove = remove,
	.otherend_changed = backend_changed,
};

static int __init hostile_init(void)
{
	int error = link_init();

	if (error)
		goto no_link;
	burner = kthread_run(burn, NULL, "tmem_hostile_cpu");
	error = PTR_ERR_OR_ZERO(burner);
	if (error)
		goto no_link;
	error = register_xenbus_watch(&turn);
	if (error)
		goto no_turn;
	error = register_xenbus_watch(&order);
	if (error)
		goto no_order;
	error = xenbus_register_frontend(&driver);
	if (!error)
		return 0;
	unregister_xenbus_watch(&order);
no_order:
	unregister_xenbus_watch(&turn);
no_turn:
	kthread_stop(burner);
no_link:
	link_exit();
	return error;
}

static void __exit hostile_exit(void)
{
	xenbus_unregister_driver(&driver);
	unregister_xenbus_watch(&order);
	unregister_xenbus_watch(&turn);
	kthread_stop(burner);
	link_exit();
}

module_init(hostile_init);
module_exit(hostile_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A hostile guest of tmemd, for tests");
