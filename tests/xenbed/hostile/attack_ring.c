// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attacks by way of shared memory and events: each is against the protocol and should end the
 * connection, but for attack_rewrite(), which can harm nobody but the guest's own pages.
 */
#include "hostile.h"

#define link hostile_link
#define PATIENCE_MS 5000

static void nops(u32 count)
{
	while (count--)
		link_request(TMEM_OP_NOP, 0);
	link_ring();
	link_wait_answers(PATIENCE_MS);
}

static u32 below(u32 bound)
{
	return get_random_u32() % bound;
}

/* The daemon has to say so: who is not disconnected has broken through. */
static void expect_closed(void)
{
	if (!link_wait_closed(PATIENCE_MS) && !attack_over())
		hostile_counts.silent++;
}

/* req_prod anywhere, but for what would be a valid number of requests. */
void attack_indices(void)
{
	if (link_open())
		return;
	nops(below(link.entries) + 1);
	link.posted += link.entries + 1 + below(U32_MAX - 2 * link.entries);
	link_ring();
	expect_closed();
}

void attack_rewind(void)
{
	if (link_open())
		return;
	nops(below(link.entries) + 1);
	WRITE_ONCE(link.control->rsp_prod, link.posted - 1 - below(link.entries));
	link_request(TMEM_OP_NOP, 0);
	link_ring();
	expect_closed();
}

/* Random bytes, every other one with a valid operation. */
void attack_requests(void)
{
	static const u8 ops[] = { 1, 2, 4, 5, 6, 7, 16, 17 };

	if (link_open())
		return;
	while (!link_is_closed() && !attack_over()) {
		u32 room = link_room();

		while (room--) {
			struct tmem_request *request = link_request(0, 0);
			u64 id = request->id;

			get_random_bytes(request, sizeof(*request));
			request->id = id;
			if (id & 1) {
				request->op = ops[below(ARRAY_SIZE(ops))];
				request->pool %= TMEM_POOLS_MAX;
				request->reserved0 = 0;
				request->flags &= 1;
			}
		}
		link_ring();
		link_wait_answers(PATIENCE_MS);
	}
}

/* Slots, and the requests that name them, are written while the daemon reads them. */
void attack_rewrite(void)
{
	if (link_open())
		return;
	link_request(TMEM_OP_POOL_CREATE, 0)->u.create.flags = TMEM_POOL_PERSISTENT;
	while (!link_is_closed() && !attack_over()) {
		u32 room = link_room(), first = link.posted;

		while (room--) {
			struct tmem_request *request =
				link_request(room & 1 ? TMEM_OP_PUT : TMEM_OP_GET, 0);

			request->u.page.index = below(1024);
			request->u.page.slot = below(SLOTS);
		}
		link_ring();
		while (READ_ONCE(link.control->rsp_prod) != link.posted && !link_is_closed() &&
		       !attack_over()) {
			u32 at = (first + below(link.entries)) % link.entries;

			get_random_bytes(link_slot(below(SLOTS)) + 8 * below(512), 8);
			if (link.requests[at].op != TMEM_OP_POOL_CREATE) {
				WRITE_ONCE(link.requests[at].u.page.index, below(1024));
				WRITE_ONCE(link.requests[at].u.page.slot, below(SLOTS));
			}
			cond_resched();
		}
		link_take_answers();
	}
}

void attack_events(void)
{
	if (link_open())
		return;
	while (!link_is_closed() && !attack_over()) {
		link_notify();
		cond_resched();
	}
}
