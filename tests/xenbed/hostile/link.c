// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The connection of the hostile guest: honest unless the caller changes something on the way.
 * Context: the thread of main.c.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include "hostile.h"

#define ANSWER_MS 20000 /* longer than tmemd tries to bind a port, or makes us wait */
#define UNMAP_TRIES 20

struct hostile_link hostile_link;
#define link hostile_link

static bool backend_is(unsigned int states)
{
	return READ_ONCE(link.backend) < 8 && (states & BIT(READ_ONCE(link.backend)));
}

#define IS(state) BIT(XenbusState##state)

/* False: the attack is over, or the daemon is silent. */
static bool wait_backend(unsigned int states)
{
	long left = wait_event_timeout(link.wait, backend_is(states) || attack_over(),
				       msecs_to_jiffies(ANSWER_MS));

	if (!left)
		hostile_counts.silent++;
	return backend_is(states);
}

void link_write(const char *key, const char *value)
{
	hostile_counts.writes++;
	if (value)
		xenbus_write(XBT_NIL, link.device->nodename, key, value);
	else
		xenbus_rm(XBT_NIL, link.device->nodename, key);
}

static void write_number(const char *key, u32 value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	link_write(key, text);
}

u8 *link_slot(u32 slot)
{
	return page_address(link.pages[RING_PAGES + slot]);
}

void link_grant(u32 page, domid_t to, unsigned long frame, bool read_only)
{
	gnttab_grant_foreign_access_ref(link.refs[page], to, frame, read_only);
}

bool link_revoke(u32 page)
{
	return gnttab_end_foreign_access_ref(link.refs[page]);
}

static irqreturn_t on_event(int irq, void *data)
{
	wake_up(&link.wait);
	return IRQ_HANDLED;
}

int link_prepare(void)
{
	grant_ref_t head;
	u32 *directory = page_address(link.pages[DIRECTORY]);
	u32 i;

	if (!wait_backend(IS(InitWait)))
		return -EINTR;
	attack_wait_turn();
	for (i = 0; i < PAGES; i++)
		clear_page(page_address(link.pages[i]));
	link.posted = 0;
	link.taken = 0;
	if (gnttab_alloc_grant_references(PAGES, &head))
		return -ENOSPC;
	for (i = 0; i < PAGES; i++) {
		link.refs[i] = gnttab_claim_grant_reference(&head);
		link_grant(i, link.device->otherend_id, xen_page_to_gfn(link.pages[i]), i == DIRECTORY);
	}
	gnttab_free_grant_references(head);
	for (i = 0; i < SLOTS; i++)
		directory[i] = link.refs[RING_PAGES + i];
	link.offered = true;
	if (xenbus_alloc_evtchn(link.device, &link.port))
		return -ENOSPC;
	link.irq = bind_evtchn_to_irqhandler(link.port, on_event, 0, "tmem_hostile", &link);
	return link.irq < 0 ? link.irq : 0;
}

int link_publish(const struct lie *lie)
{
	char key[32];
	u32 i;

	attack_wait_turn();
	write_number("version", TMEM_ABI_VERSION);
	write_number("num-queues", 1);
	write_number("ring-order", ORDER);
	write_number("num-slots", SLOTS);
	write_number("feature-credits", 1);
	for (i = 0; i < RING_PAGES; i++) {
		snprintf(key, sizeof(key), "queue-0/ring-ref-%u", i);
		write_number(key, link.refs[i]);
	}
	write_number("queue-0/slot-directory", link.refs[DIRECTORY]);
	write_number("queue-0/event-channel", link.port);
	if (lie)
		link_write(lie->key, lie->value);
	return 0;
}

int link_offer(void)
{
	attack_wait_turn();
	hostile_counts.offers++;
	link_write("state", "3");
	if (!wait_backend(IS(Connected) | IS(Closing) | IS(Closed)))
		return -EINTR;
	if (!backend_is(IS(Connected))) {
		hostile_counts.refused++;
		return -ECONNREFUSED;
	}
	hostile_counts.connected++;
	link.connected = true;
	link_write("state", "4");
	return 0;
}

int link_open(void)
{
	return link_prepare() ?: link_publish(NULL) ?: link_offer();
}

/* What dom0 still maps is given up; a slot's page is replaced. */
static void abandon(u32 page)
{
	struct page *fresh = page < RING_PAGES ? NULL : alloc_page(GFP_KERNEL | __GFP_ZERO);

	hostile_counts.still_mapped++;
	if (!fresh)
		return;
	gnttab_end_foreign_access(link.refs[page], link.pages[page]);
	link.pages[page] = fresh;
}

static bool revoke_patiently(u32 page, unsigned int *tries)
{
	while (!link_revoke(page)) {
		if ((*tries)++ >= UNMAP_TRIES)
			return false;
		msleep(50);
	}
	return true;
}

static void end_grants(void)
{
	unsigned int tries = 0;
	u32 i;

	for (i = 0; i < PAGES; i++) {
		if (revoke_patiently(i, &tries))
			gnttab_free_grant_reference(link.refs[i]);
		else
			abandon(i);
		link.refs[i] = 0;
	}
}

void link_close(void)
{
	if (!link.offered)
		return;
	attack_wait_turn();
	if (link.connected && link_is_closed())
		hostile_counts.closed++;
	link.connected = false;
	link_write("state", "5");
	wait_event_timeout(link.wait, backend_is(IS(Closed) | IS(InitWait)), 5 * HZ);
	if (!backend_is(IS(Closed) | IS(InitWait)))
		hostile_counts.silent++;
	link_write("state", "6");
	if (link.irq > 0)
		unbind_from_irqhandler(link.irq, &link);
	link.irq = 0;
	end_grants();
	link.offered = false;
}

bool link_is_closed(void)
{
	return READ_ONCE(link.control->closed) || !backend_is(IS(Connected));
}

bool link_wait_closed(unsigned int ms)
{
	wait_event_timeout(link.wait, link_is_closed() || attack_over(), msecs_to_jiffies(ms));
	return link_is_closed();
}

/* A ring whose counters were spoilt has no answers that mean anything. */
void link_take_answers(void)
{
	u32 produced = smp_load_acquire(&link.control->rsp_prod); /* before the responses */

	if (produced - link.taken > link.entries)
		return;
	for (; link.taken != produced; link.taken++) {
		hostile_counts.answered++;
		if (link.responses[link.taken % link.entries].status == TMEM_BAD_REQUEST)
			hostile_counts.bad++;
	}
}

bool link_wait_answers(unsigned int ms)
{
	WRITE_ONCE(link.control->rsp_event, link.posted - 1);
	smp_mb(); /* the event is set before the counter is read */
	wait_event_timeout(link.wait,
			   READ_ONCE(link.control->rsp_prod) == link.posted || link_is_closed() ||
				   attack_over(),
			   msecs_to_jiffies(ms));
	link_take_answers();
	return link.taken == link.posted;
}

u32 link_room(void)
{
	link_take_answers();
	return link.entries - (link.posted - link.taken);
}

struct tmem_request *link_request(u8 op, u32 pool)
{
	struct tmem_request *request = &link.requests[link.posted % link.entries];

	memset(request, 0, sizeof(*request));
	request->op = op;
	request->pool = pool;
	request->id = link.posted;
	request->epoch = link.control->store_epoch;
	if (op != TMEM_OP_POOL_CREATE)
		request->u.page.slot = TMEM_NO_SLOT;
	link.posted++;
	hostile_counts.posted++;
	return request;
}

void link_ring(void)
{
	attack_wait_turn();
	smp_store_release(&link.control->req_prod, link.posted); /* behind the requests */
	link_notify();
}

void link_notify(void)
{
	attack_wait_turn();
	hostile_counts.events++;
	notify_remote_via_irq(link.irq);
}

int link_init(void)
{
	u32 i;

	init_waitqueue_head(&link.wait);
	link.entries = tmem_ring_entries(ORDER);
	for (i = 0; i < PAGES; i++) {
		link.pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!link.pages[i])
			return -ENOMEM;
	}
	link.control = vmap(link.pages, RING_PAGES, VM_MAP, PAGE_KERNEL);
	if (!link.control)
		return -ENOMEM;
	link.requests = (void *)link.control + TMEM_PAGE_BYTES;
	link.responses = (void *)(link.requests + link.entries);
	return 0;
}

void link_exit(void)
{
	u32 i;

	if (link.control)
		vunmap(link.control);
	for (i = 0; i < PAGES; i++)
		if (link.pages[i])
			put_page(link.pages[i]);
}
