/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frontend of device/tmem/0 that breaks the rules of docs/protocol.md on purpose.
 *
 * One thread does everything, a round at a time: a round makes a connection, attacks, and leaves
 * nothing behind, so that the next one starts from where an honest guest would. All of it may sleep.
 * Other contexts only write what the thread waits for: the backend's state (xenbus's thread), events
 * (interrupt), the wanted attack (a watch).
 */
#ifndef TMEM_HOSTILE_H
#define TMEM_HOSTILE_H

#include <linux/interrupt.h>
#include <linux/random.h>
#include <linux/wait.h>
#include <xen/events.h>
#include <xen/grant_table.h>
#include <xen/page.h>
#include <xen/xenbus.h>

/* Old Xen headers of the kernel have a struct tmem_op; the enum of abi.h yields. */
#define tmem_op tmem_wire_op
#include <tmem/abi.h>
#undef tmem_op

#define ORDER TMEM_RING_ORDER_DEFAULT
#define SLOTS TMEM_SLOTS_DEFAULT
#define RING_PAGES (1u << ORDER)
#define DIRECTORY (RING_PAGES + SLOTS)
#define PAGES (DIRECTORY + 1)

/* What happened since the attack was chosen. */
struct hostile_counts {
	ulong offers; /* F went to 3 */
	ulong connected, refused; /* B went to 4; to 5 or 6 */
	ulong closed; /* the daemon ended a connection that had been made */
	ulong posted, answered, bad; /* requests; answers; those that say bad-request */
	ulong events, writes; /* notifications sent, nodes of xenstore written */
	ulong silent; /* the daemon did not do in time what the protocol says */
	ulong still_mapped; /* pages that dom0 maps though B is at 6 */
	ulong wrong; /* clean connections whose pages came back otherwise */
};
extern struct hostile_counts hostile_counts;

/* The connection. Pages are granted while `offered`. */
struct hostile_link {
	struct xenbus_device *device;
	wait_queue_head_t wait;
	enum xenbus_state backend; /* as last seen */
	bool offered, connected;
	struct page *pages[PAGES]; /* ring pages, slots, the directory */
	grant_ref_t refs[PAGES]; /* 0: none */
	struct tmem_control_page *control;
	struct tmem_request *requests;
	struct tmem_response *responses;
	u32 entries, posted, taken;
	evtchn_port_t port;
	int irq;
};
extern struct hostile_link hostile_link;

/* A key of the offer that is not what it should be. Without a value the key is left out. */
struct lie {
	const char *key, *value;
};

int link_init(void);
void link_exit(void);
/*
 * Grants all pages and writes the keys; link_offer() then goes to state 3 and waits for the answer:
 * 0 when B is at 4, -ECONNREFUSED, or -EINTR when the attack is over.
 */
int link_prepare(void);
int link_publish(const struct lie *lie);
int link_offer(void);
int link_open(void); /* the three, honestly */
/* To state 6 by the rules, whatever happened before; ends all grants. */
void link_close(void);
/* Answers are read and counted until all are in, the daemon closed the queue or time is up. */
bool link_wait_answers(unsigned int ms);
bool link_wait_closed(unsigned int ms);
bool link_is_closed(void);
void link_take_answers(void);
u32 link_room(void);
/* A request that is well-formed but for what the caller changes; published by link_ring(). */
struct tmem_request *link_request(u8 op, u32 pool);
void link_ring(void);
void link_notify(void);
u8 *link_slot(u32 slot);
void link_grant(u32 page, domid_t to, unsigned long frame, bool read_only);
bool link_revoke(u32 page); /* false: dom0 maps it */
void link_write(const char *key, const char *value);
/* True when another attack is wanted, or none. */
bool attack_over(void);
/*
 * An attack takes turns with peace. Whatever the daemon would see or be woken by waits for the
 * attack's turn; what the daemon has begun then may outlast it.
 */
bool attack_may_go_on(void);
void attack_wait_turn(void);

struct attack {
	const char *name;
	void (*round)(void);
};
void attack_indices(void);
void attack_rewind(void);
void attack_requests(void);
void attack_rewrite(void);
void attack_events(void);
void attack_values(void);
void attack_ports(void);
void attack_grants(void);
void attack_states(void);
void attack_reconnect(void);
void attack_flood(void);
void attack_pingpong(void);
void quiet(void);

#endif
