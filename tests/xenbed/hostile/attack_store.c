// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attacks by way of xenstore and the handshake: wrong values, ports and grants that are none, states
 * in any order, connections without end. Each round takes the next of its list.
 */
#include "hostile.h"

#define link hostile_link

static const struct lie values[] = {
	{ "version", "2" },
	{ "num-queues", "0" },
	{ "ring-order", "-1" },
	{ "num-slots", "4294967552" }, /* 2^32 + 256 */
	{ "queue-0/slot-directory", NULL },
	{ "num-queues", "99999999999999999999999999999999999999999999999999999999999999999999" },
	{ "queue-0/ring-ref-7", "" },
	{ "feature-credits", "2" },
	{ "num-slots", "7" },
	{ "version", NULL },
	{ "ring-order", "3 " },
	{ "num-queues", "8" }, /* queues 1 to 7 have no keys */
	{ "queue-0/event-channel", "0x5" },
	{ "queue-0/ring-ref-0", "\xff\xfe%s%n" },
};

static const struct lie ports[] = {
	{ "queue-0/event-channel", "1" }, /* xenstore's, bound already */
	{ "queue-0/event-channel", "3000" }, /* closed */
	{ "queue-0/event-channel", "131071" },
	{ "queue-0/event-channel", "131072" },
	{ "queue-0/event-channel", "0" },
};

static void round_with(const struct lie *lies, u32 count, u32 *turn)
{
	if (link_prepare() || link_publish(&lies[(*turn)++ % count]))
		return;
	if (!link_offer())
		hostile_counts.wrong++; /* the daemon believes it */
}

void attack_values(void)
{
	static u32 turn;

	round_with(values, ARRAY_SIZE(values), &turn);
}

void attack_ports(void)
{
	static u32 turn;

	round_with(ports, ARRAY_SIZE(ports), &turn);
}

static void spoil_grants(u32 kind)
{
	u32 *directory = page_address(link.pages[DIRECTORY]);
	unsigned long frame = xen_page_to_gfn(link.pages[2]);
	u32 i;

	switch (kind) {
	case 0: /* ended: a slot's, a ring page's, the directory's */
		link_revoke(RING_PAGES + 5);
		break;
	case 1:
		link_revoke(1);
		break;
	case 2:
		link_revoke(DIRECTORY);
		break;
	case 3: /* of a frame that there is not */
		link_revoke(2);
		link_grant(2, link.device->otherend_id, 0xfffffffful, false);
		break;
	case 4: /* read-only */
		link_revoke(2);
		link_grant(2, link.device->otherend_id, frame, true);
		break;
	case 5: /* for another domain */
		link_revoke(2);
		link_grant(2, link.device->otherend_id + 5, frame, false);
		break;
	case 6: /* references that are none */
		get_random_bytes(directory, TMEM_PAGE_BYTES);
		break;
	case 7: /* reserved ones: xenstore's page, the console's */
		for (i = 0; i < SLOTS; i++)
			directory[i] = i % 8;
		break;
	}
}

/* The last kind takes the grants back while the daemon maps them: either may win. */
#define GRANT_KINDS 9

void attack_grants(void)
{
	static u32 turn;
	u32 kind = turn++ % GRANT_KINDS, i;

	if (link_prepare() || link_publish(NULL))
		return;
	spoil_grants(kind);
	if (kind < GRANT_KINDS - 1) {
		if (!link_offer())
			hostile_counts.wrong++;
		return;
	}
	attack_wait_turn();
	link_write("state", "3");
	hostile_counts.offers++;
	for (i = 0; i < PAGES; i++) {
		link_revoke(i);
		cond_resched();
	}
	link_wait_closed(1000);
}

/*
 * Any state and none, as fast as xenstore takes it. Between turns as many writes to a node that
 * nobody watches: xenstored's own work is not tmemd's.
 */
void attack_states(void)
{
	static const char *const states[] = { "1", "2", "3", "4", "5", "6", "0", "7", "-3", "x", NULL };

	if (link_prepare() || link_publish(NULL))
		return;
	hostile_counts.offers++;
	while (!attack_over())
		link_write(attack_may_go_on() ? "state" : "unheard",
			   states[get_random_u32() % ARRAY_SIZE(states)]);
	link_write("unheard", NULL);
}

/* By the rules; without state 5; and before the daemon has answered. */
void attack_reconnect(void)
{
	static u32 turn;

	switch (turn++ % 3) {
	case 0:
		link_open();
		break;
	case 1:
		if (link_open())
			return;
		attack_wait_turn();
		link_write("state", "6");
		break;
	case 2:
		if (link_prepare() || link_publish(NULL))
			return;
		attack_wait_turn();
		hostile_counts.offers++;
		link_write("state", "3");
		link_write("state", "6");
		break;
	}
}
