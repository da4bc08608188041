/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of tmem_core.
 *
 *   connection.c  the xenbus device: when to connect, when to let go (one worker)
 *   offer.c       what it offers the backend
 *   migration.c   what it says about being saved or migrated
 *   xenstore.c    what the backend says
 *   ring.c        pages and grants of one queue
 *   queue.c       a queue over its connections: irq, timer, slots
 *   post.c        puts, gets and flushes on their way to the daemon
 *   answer.c      responses, and what a lost connection leaves behind
 *   expire.c      time-outs
 *   command.c     requests of the core itself, waited for
 *   pool.c        pools: open, close, flush, up and down
 *
 * Lock order: lifecycle (mutex: the worker, opening, closing and flushing a pool)
 *             -> tmem_queue.lock (irqsave; never two) -> tmem_core.credit_lock.
 * Callbacks of modules run without tmem_queue.lock; up, evacuate and write_back under lifecycle.
 */
#ifndef TMEM_CORE_INTERNAL_H
#define TMEM_CORE_INTERNAL_H

#include <linux/completion.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <xen/grant_table.h>
#include <xen/xenbus.h>
#include "compat.h"
#include "tmem_core.h"

/* What a slot is used for; the numbers are split as abi.h says. */
enum slot_kind { SLOT_PERSISTENT, SLOT_EPHEMERAL, SLOT_GET, SLOT_KINDS };

/* Lists of posts that wait for room. */
enum { WAITING_PUTS, WAITING_GETS, WAITING_LISTS };

struct tmem_page {
	struct page *page;
	grant_ref_t ref;
};

/* The memory of one queue, one connection long. Owned by the worker. */
struct tmem_ring {
	u32 order;
	u32 entries;
	u32 slots;
	struct tmem_page *pages; /* ring pages, slots, directory */
	u32 page_count;
	void *map; /* the ring pages, contiguous */
	struct tmem_control_page *control;
	struct tmem_request *requests;
	struct tmem_response *responses;
	struct page **slot_pages;
	struct inflight *inflight; /* by counter & (entries - 1) */
	u16 *free_slots;	   /* stacks, one per kind, in one array */
	evtchn_port_t port;
	int irq; /* 0: none */
};

/* A request that the daemon has. */
struct inflight {
	struct tmem_io *io;	      /* whom to tell; NULL: nobody, or timed out */
	struct tmem_command *command; /* the core's own */
	struct tmem_pool *pool;	      /* NULL: nop */
	struct tmem_key key;
	u32 slot;
	u8 op;
	bool forget;	/* posted without an io: failures go to pool->ops->dropped */
	bool keep_slot; /* it is held, and stays so */
};

/* Lives as long as the module; its ring comes and goes. */
struct tmem_queue {
	unsigned int number;
	spinlock_t lock;	/* all below but the timer */
	struct tmem_ring *ring; /* NULL: not connected */
	u32 connection;		/* tmem_core.connection at the time of connecting */
	u64 epoch;		/* sent with every request */
	u32 req_prod;
	u32 rsp_cons;
	u32 free_count[SLOT_KINDS];
	u32 free_base[SLOT_KINDS];
	unsigned long progress; /* jiffies of the last response, or of the first post after it */
	bool stalled;		/* an ephemeral get timed out; none is answered since */
	struct list_head waiting[WAITING_LISTS];
	struct timer_list timer;
	unsigned int empty_events; /* in a row; the interrupt thread's */
};

/* A request of the core, waited for by command.c. On the waiter's stack. */
struct tmem_command {
	struct completion done;
	int status; /* enum tmem_status, or negative */
};

enum pool_state {
	POOL_DOWN,
	POOL_DRAINING, /* empty ring wanted: posts wait or fail with -EAGAIN */
	POOL_UP,
};

/* Counters of a pool; the order is that of their names in stats.c. */
enum pool_stat {
	STAT_PUT_OK,
	STAT_PUT_NO_SPACE,
	STAT_PUT_FROZEN,
	STAT_PUT_CREDITED,
	STAT_GET_OK,
	STAT_GET_MISS,
	STAT_FLUSH_OK,
	STAT_FLUSH_MISS,
	STAT_FLUSH_OBJECT,
	STAT_STALE,
	STAT_FAILED,
	STAT_TIMED_OUT,
	STAT_LOST,
	STAT_NO_ROOM,
	STAT_WAITED,
	POOL_STATS,
};

struct tmem_pool {
	struct kobject kobj;
	unsigned int id;
	u32 flags;
	const struct tmem_pool_ops *ops;
	void *ctx;
	enum pool_state state; /* written with the queues' locks taken in turn */
	bool unclean;	       /* a flush failed: destroy it before it is used again; lifecycle */
	u64 epoch;	       /* of the last up; 0: none yet */
	u32 connection;	       /* of the last up */
	bool evacuating; /* as the module was told */
	u32 write_back_kib_s; /* likewise */
	bool refuses;	 /* puts, because of that */
	int wants_room;
	unsigned long away_since; /* jiffies, not 0: puts are not taken; 0: they were, last */
	atomic_t inflight; /* requests the daemon has */
	atomic64_t stats[POOL_STATS];
};

/* Is no error that there is: what is true is written, whatever is there. */
#define PUBLISHED_UNKNOWN ((const char *)ERR_PTR(-ENODATA))

enum core_stat {
	CORE_CONNECTS,
	CORE_EPOCHS,
	CORE_ABANDONED,
	CORE_LEAKED_PAGES, /* a gauge: pages that the daemon still maps */
	CORE_EVENTS_SENT,
	CORE_EVENTS_RECEIVED,
	CORE_REQUESTS,
	CORE_STATS,
};

struct tmem_core {
	struct mutex lifecycle; /* the connection, the pools and their states */
	struct xenbus_device *device; /* NULL: none; lifecycle */
	struct workqueue_struct *worker;
	struct delayed_work manage;
	struct delayed_work reap;
	unsigned int retry_ms; /* until the next attempt to connect */

	/* Why the worker runs; set anywhere, read by it. */
	bool suspended; /* no answer is taken */
	bool resumed;
	bool broken;

	/* The connection, changed under lifecycle. */
	u32 connection; /* counts them */
	u32 queue_count; /* at least 1; of the last connection while there is none */
	struct tmem_ring *rings[TMEM_QUEUES_MAX];
	unsigned int ring_count;
	u64 features;
	u64 epoch;
	bool serving;  /* the daemon said connected */
	bool evacuate; /* what the daemon asks for */
	u32 write_back_kib_s; /* likewise */
	int published_migrate;	    /* the value of can-migrate; -1: none */
	int published_evacuating;   /* of evacuating: what is asked for was begun; -1: none */
	const char *evacuate_error; /* NULL: none */
	const char *published_error; /* of evacuate-error */

	spinlock_t credit_lock; /* the next three */
	u32 credits_used;
	struct tmem_control_page *credits; /* queue 0's; NULL: no credits */
	u32 credits_max;

	struct tmem_queue queues[TMEM_QUEUES_MAX];
	struct tmem_pool __rcu *pools[TMEM_POOLS_MAX]; /* written under lifecycle */
	wait_queue_head_t drained;
	atomic64_t stats[CORE_STATS];
};

extern struct tmem_core tmem;

/* Module parameters, in main.c. */
extern unsigned int tmem_queues_wanted, tmem_ring_order, tmem_slots;
extern unsigned int tmem_ephemeral_get_ms, tmem_put_ms, tmem_persistent_get_ms, tmem_silent_ms;

static inline bool pool_persistent(const struct tmem_pool *pool)
{
	return pool->flags & TMEM_POOL_PERSISTENT;
}

static inline void pool_count(struct tmem_pool *pool, enum pool_stat stat)
{
	atomic64_inc(&pool->stats[stat]);
}

/* A put can be taken, or something was answered. */
static inline void tmem_pool_is_back(struct tmem_pool *pool)
{
	if (READ_ONCE(pool->away_since))
		WRITE_ONCE(pool->away_since, 0);
}

static inline void core_count(enum core_stat stat)
{
	atomic64_inc(&tmem.stats[stat]);
}

static inline u32 queue_in_flight(const struct tmem_queue *queue)
{
	return queue->req_prod - queue->rsp_cons;
}

/* connection.c: let the worker look, now or after a while. Any context. */
void tmem_look(void);
void tmem_look_later(unsigned int delay_ms);
void tmem_break(const char *why);
int tmem_frontend_register(void);
void tmem_frontend_unregister(void);
void tmem_disconnect(bool take_answers);
void tmem_rings_free(void);

/* offer.c, migration.c. lifecycle held. */
int tmem_offer(void);
bool tmem_publish_migration(void);
void tmem_publish_evacuating(void);

/* xenstore.c. 0, or negative: not known now. Not there: XenbusStateUnknown; `absent`; false. */
int tmem_read_state(const char *folder, enum xenbus_state *state);
int tmem_read_offer(const char *key, u32 absent, u32 *value); /* one of the backend's numbers */
int tmem_read_evacuate(bool *evacuate);
int tmem_read_backend(struct xenbus_device *device);

/* ring.c. Sleep. */
struct tmem_ring *tmem_ring_create(struct xenbus_device *device, u32 order, u32 slots);
void tmem_ring_destroy(struct tmem_ring *ring);
void tmem_reap(struct work_struct *work);
void tmem_spare_free(void);

/* queue.c */
void tmem_queue_init(struct tmem_queue *queue, unsigned int number);
void tmem_queue_exit(struct tmem_queue *queue);
int tmem_queue_bind(struct tmem_queue *queue, struct tmem_ring *ring);
void tmem_queue_unbind(struct tmem_queue *queue, struct tmem_ring *ring);
void tmem_queue_start(struct tmem_queue *queue, struct tmem_ring *ring);
int tmem_slot_take(struct tmem_queue *queue, enum slot_kind kind);
void tmem_slot_give(struct tmem_queue *queue, u32 slot);
void tmem_queue_arm(struct tmem_queue *queue);
struct tmem_queue *tmem_queue_lock(u32 pool, const u64 oid[3], unsigned long *flags);

/* post.c. queue->lock held. */
void tmem_post(struct tmem_queue *queue, const struct inflight *what, u16 flags);
void tmem_run_waiting(struct tmem_queue *queue, struct list_head *failed);

/* answer.c. No lock held. */
bool tmem_queue_service(struct tmem_queue *queue);
void tmem_queue_abandon(struct tmem_queue *queue);
void tmem_queue_retry(struct tmem_queue *queue);
void tmem_complete(struct list_head *ios, int error);
void tmem_look_at_daemon(struct tmem_queue *queue); /* queue->lock held */

/* expire.c */
void tmem_queue_expire(struct tmem_queue *queue);

/* command.c. Sleeps, bounded. lifecycle held. Returns enum tmem_status or negative. */
int tmem_command(struct tmem_pool *pool, u8 op);

/* pool.c. lifecycle held, but for tmem_room(): any context. */
void tmem_pools_up(void);
void tmem_pools_down(void);
void tmem_pools_evacuate(bool on);
void tmem_pools_write_back(u32 kib_s);
bool tmem_pools_hold(void);
void tmem_room(void);

/* stats.c */
int tmem_stats_init(void);
void tmem_stats_exit(void);
int tmem_pool_stats_add(struct tmem_pool *pool);

#endif /* TMEM_CORE_INTERNAL_H */
