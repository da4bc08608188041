/* SPDX-License-Identifier: MIT */
/*
 * The wire ABI between a guest and tmemd: requests, responses, the control page of a queue.
 *
 * Plain C, compiles in the Linux kernel, in C11 and in C++. All fields are little-endian (x86).
 * Everything here is written by one side and read by a side that does not trust it: copy a
 * structure to private memory once, then check the copy.
 *
 * A queue is 2^order ring pages followed by data slots of one page each:
 *
 *   page 0                  struct tmem_control_page
 *   page 1 ...              struct tmem_request[entries]
 *   directly behind them    struct tmem_response[entries]
 *
 * entries = tmem_ring_entries(order): the largest power of two that fits (order 3: 256).
 * Indices are free-running u32 counters; the entry of counter i is i & (entries - 1).
 *
 * Order and replay. Requests of a queue are run in order by one executor. rsp_prod is published
 * after each request and before the next one changes the store, so after a crash of the daemon at
 * most one request is run twice, and each operation is idempotent alone. A key (pool, object) has
 * one queue for life: tmem_queue_of(). Pool create, flush and destroy are sent on queue 0 when all
 * queues are drained.
 */
#ifndef TMEM_ABI_H
#define TMEM_ABI_H

#ifdef __KERNEL__
#include <linux/types.h>
typedef u8 tmem_u8;
typedef u16 tmem_u16;
typedef u32 tmem_u32;
typedef u64 tmem_u64;
#else
#include <stdint.h>
typedef uint8_t tmem_u8;
typedef uint16_t tmem_u16;
typedef uint32_t tmem_u32;
typedef uint64_t tmem_u64;
#endif

#define TMEM_ABI_VERSION 1
#define TMEM_PAGE_BYTES 4096
#define TMEM_CONTROL_MAGIC 0x4d454d54u /* "TMEM" */

/* Features, negotiated at connect; a peer uses only what was granted. */
#define TMEM_FEATURE_CREDITS 1ull

/* Limits a peer may rely on. */
#define TMEM_POOLS_MAX 16 /* pool ids of a client: 0 .. 15 */
#define TMEM_QUEUES_MAX 8
#define TMEM_RING_ORDER_MIN 1
#define TMEM_RING_ORDER_MAX 6
#define TMEM_RING_ORDER_DEFAULT 3
#define TMEM_SLOTS_MIN 8
#define TMEM_SLOTS_MAX 4096
#define TMEM_SLOTS_DEFAULT 256
#define TMEM_NO_SLOT 0xffffffffu

/*
 * Operations. Numbers 1, 2, 4 .. 7 are those of Xen's original tmem; the numbers that it used for
 * operations we do not have (0, 3, 8 .. 10, 101, 102) stay unused.
 */
enum tmem_op {
	TMEM_OP_POOL_CREATE = 1,  /* arm: create. The guest chooses the id. */
	TMEM_OP_POOL_DESTROY = 2, /* all pages gone, the id is free after the answer */
	TMEM_OP_PUT = 4,	  /* slot: page to store */
	TMEM_OP_GET = 5,	  /* slot: filled by the daemon on TMEM_OK */
	TMEM_OP_FLUSH_PAGE = 6,
	TMEM_OP_FLUSH_OBJECT = 7, /* index ignored */
	TMEM_OP_POOL_FLUSH = 16,  /* all pages gone, the pool stays */
	TMEM_OP_NOP = 17,	  /* answered ok: a liveness probe */
};

/* Pool flags, in tmem_request.create.flags. All other bits must be 0. */
#define TMEM_POOL_PERSISTENT 1u
#define TMEM_POOL_SHARED 2u /* ephemeral only; uuid names it; needs the administrator's consent */

enum tmem_status {
	TMEM_OK = 0,
	TMEM_MISS = 1,		/* get: no such page. flush: nothing was there. */
	TMEM_NO_SPACE = 2,	/* put refused; an older page of this key is gone */
	TMEM_FROZEN = 3,	/* put of a new key while the client is frozen */
	TMEM_NO_SUCH_POOL = 4,
	TMEM_REFUSED = 5,	/* create: not authorised, or the id is in use with other flags */
	TMEM_STALE_EPOCH = 6,	/* the request names an older store epoch; it was not run */
	TMEM_BAD_REQUEST = 7,	/* malformed; counted, and enough of them disconnect the guest */
};

/*
 * Request flags. CREDIT: a persistent put that the guest completed before its answer, paid with one
 * credit (see struct tmem_control_page); only with TMEM_FEATURE_CREDITS.
 */
#define TMEM_REQUEST_CREDIT 1u

/* 64 bytes. Reserved fields must be 0. */
struct tmem_request {
	tmem_u8 op; /* enum tmem_op */
	tmem_u8 reserved0;
	tmem_u16 flags; /* TMEM_REQUEST_*; 0 unless the operation allows one */
	tmem_u32 pool;
	tmem_u64 id;	/* echoed in the response; unique among requests in flight */
	tmem_u64 epoch; /* store epoch the guest believes in */
	union {
		struct {
			tmem_u64 oid[3];
			tmem_u32 index;
			tmem_u32 slot; /* put, get: data slot; others: TMEM_NO_SLOT */
		} page;
		struct {
			tmem_u8 uuid[16]; /* shared pools; else 0 */
			tmem_u32 flags;
			tmem_u32 reserved[3];
		} create;
	} u;
	tmem_u64 reserved2;
};

/* 16 bytes. */
struct tmem_response {
	tmem_u64 id;
	tmem_u16 status; /* enum tmem_status */
	tmem_u16 reserved0;
	tmem_u32 reserved1;
};

/*
 * First page of a queue. A line of 64 bytes has one writer.
 *
 * Sleeping: the consumer stores the counter value it waits for in its _event field, then looks at
 * the producer's counter once more, then sleeps. The producer sends a notification iff its new
 * counter passed that event: tmem_needs_event(). Both sides put a full barrier between their store
 * and their load.
 *
 * Credits stand in queue 0 and are of the whole connection. Each is room for one raw page that the
 * daemon keeps for this guest. Both counters only grow (and wrap); credits_granted - credits_used
 * can be spent. The guest counts credits_used up before it posts the put that spends one.
 */
struct tmem_control_page {
	/* Set by the daemon before the guest may use the queue, then constant but for store_epoch. */
	tmem_u32 magic;
	tmem_u32 version;
	tmem_u64 features;
	tmem_u64 store_epoch; /* changes when the daemon lost this guest's pages */
	tmem_u32 queue;	      /* this queue's number, 0 .. queues-1 */
	tmem_u32 queues;
	tmem_u32 entries;
	tmem_u32 slots;
	tmem_u8 pad0[24];

	tmem_u32 req_prod;     /* guest */
	tmem_u32 rsp_event;    /* guest: notify me when rsp_prod passes this */
	tmem_u32 credits_used; /* guest, queue 0 */
	tmem_u8 pad1[52];

	tmem_u32 rsp_prod;	  /* daemon */
	tmem_u32 req_event;	  /* daemon: notify me when req_prod passes this */
	tmem_u32 closed;	  /* daemon: 1 = it will not serve this queue any more */
	tmem_u32 credits_granted; /* daemon, queue 0 */
	tmem_u32 served;	  /* daemon: 1 = a daemon is there; 0 once it died (Xen) */
	tmem_u8 pad2[44];

	tmem_u8 reserved[3904];
};

/* Requests (and responses) that fit a queue of 2^order ring pages. */
static inline tmem_u32 tmem_ring_entries(tmem_u32 order)
{
	tmem_u32 room = ((1u << order) - 1u) * TMEM_PAGE_BYTES /
			(sizeof(struct tmem_request) + sizeof(struct tmem_response));
	tmem_u32 entries = 1;

	while (entries * 2 <= room)
		entries *= 2;
	return entries;
}

/*
 * Data slots are split by number, so that no kind of traffic starves another (slots >= 8):
 * [0, persistent) persistent puts, at least half; [persistent, slots - gets) all other puts; the
 * last `gets`, at least an eighth, gets. A guest may use a slot for something else at its own
 * risk of starving: the daemon only checks the bound.
 */
static inline tmem_u32 tmem_slots_for_persistent(tmem_u32 slots) { return (slots + 1) / 2; }
static inline tmem_u32 tmem_slots_for_gets(tmem_u32 slots) { return (slots + 7) / 8; }

/* True iff a consumer that waits at `event` must be woken when a counter moves old -> now. */
static inline int tmem_needs_event(tmem_u32 event, tmem_u32 now, tmem_u32 old)
{
	tmem_u32 passed = now - event - 1;
	tmem_u32 moved = now - old;

	return passed < moved;
}

/* The queue of a key, fixed for the life of a connection. FNV-1a over the words. */
static inline tmem_u32 tmem_queue_of(tmem_u32 pool, const tmem_u64 oid[3], tmem_u32 queues)
{
	tmem_u64 hash = 0xcbf29ce484222325ull;
	tmem_u32 folded;
	int i;

	hash = (hash ^ pool) * 0x100000001b3ull;
	for (i = 0; i < 3; i++)
		hash = (hash ^ oid[i]) * 0x100000001b3ull;
	folded = (hash ^ (hash >> 32)) & 0xffffffffu;
	return folded % queues;
}

#ifdef __cplusplus
static_assert(sizeof(tmem_request) == 64 && sizeof(tmem_response) == 16);
static_assert(sizeof(tmem_control_page) == TMEM_PAGE_BYTES);
#else
_Static_assert(sizeof(struct tmem_request) == 64, "wire size");
_Static_assert(sizeof(struct tmem_response) == 16, "wire size");
_Static_assert(sizeof(struct tmem_control_page) == TMEM_PAGE_BYTES, "wire size");
#endif

#endif /* TMEM_ABI_H */
