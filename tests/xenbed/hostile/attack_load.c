// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Valid requests in a mass that serves nobody; and the guest that leaves the others in peace.
 */
#include "hostile.h"

#define link hostile_link
#define POOLS 4
#define OBJECTS 8
#define INDICES 512

static u32 below(u32 bound)
{
	return get_random_u32() % bound;
}

static void create_pool(u32 pool)
{
	link_request(TMEM_OP_POOL_CREATE, pool)->u.create.flags =
		pool & 1 ? TMEM_POOL_PERSISTENT : 0;
}

static void page_request(u8 op, u32 pool, u32 slot)
{
	struct tmem_request *request = link_request(op, pool);

	request->u.page.oid[0] = below(OBJECTS);
	request->u.page.index = op == TMEM_OP_FLUSH_OBJECT ? 0 : below(INDICES);
	request->u.page.slot = slot;
}

/* Mostly puts of pages that neither compress nor repeat, with gets, and whole objects dropped. */
static void expensive(void)
{
	u32 pool = below(POOLS), slot = below(SLOTS), dice = below(1000);

	if (dice < 700) {
		get_random_bytes(link_slot(slot), 16);
		page_request(TMEM_OP_PUT, pool, slot);
	} else if (dice < 980) {
		page_request(TMEM_OP_GET, pool, slot);
	} else if (dice < 996) {
		page_request(TMEM_OP_FLUSH_OBJECT, pool, TMEM_NO_SLOT);
	} else if (dice < 999) {
		link_request(TMEM_OP_POOL_FLUSH, pool);
	} else {
		link_request(TMEM_OP_POOL_DESTROY, pool);
	}
}

void attack_flood(void)
{
	u32 i;

	if (link_open())
		return;
	for (i = 0; i < SLOTS; i++)
		get_random_bytes(link_slot(i), TMEM_PAGE_BYTES);
	while (!link_is_closed() && !attack_over()) {
		u32 room = link_room();

		if (!room) {
			link_wait_answers(100);
			continue;
		}
		if (room > POOLS && !below(64))
			for (i = 0; i < POOLS; i++, room--)
				create_pool(i);
		while (room--)
			expensive();
		link_ring();
	}
}

/* One request, one event, without end: as much switching to and fro as can be had. */
void attack_pingpong(void)
{
	if (link_open())
		return;
	while (!link_is_closed() && !attack_over()) {
		link_request(TMEM_OP_NOP, 0);
		link_ring();
		while (!link_room() && !link_is_closed() && !attack_over())
			cond_resched();
		cond_resched();
	}
}

/* An honest page there and back. False: it is not the same. */
static bool page_returns(void)
{
	u8 *put = link_slot(0), *got = link_slot(SLOTS - 1);

	get_random_bytes(put, TMEM_PAGE_BYTES);
	link_request(TMEM_OP_POOL_DESTROY, 1); /* the pages of an attack */
	create_pool(1);
	link_request(TMEM_OP_PUT, 1)->u.page.slot = 0;
	link_request(TMEM_OP_GET, 1)->u.page.slot = SLOTS - 1;
	link_ring();
	return link_wait_answers(10000) && !memcmp(put, got, TMEM_PAGE_BYTES);
}

void quiet(void)
{
	if (link_open())
		return;
	if (!page_returns() && !attack_over())
		hostile_counts.wrong++;
	wait_event_idle(link.wait, attack_over() || link_is_closed());
}
