/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tmem_core offers to the modules that put pages into tmem (swap, cache, frontswap).
 *
 * A module opens a pool, posts puts, gets and flushes to it, and hears in callbacks what became of
 * them. tmem_core owns the connection to tmemd: it connects, reconnects and creates the pools anew;
 * a module sees only "up" and "down".
 *
 * Context. tmem_put(), tmem_get(), tmem_put_and_forget(), tmem_flush_page(), tmem_flush_object(),
 * tmem_io_hold(), tmem_io_release() and tmem_holds_changed() may be called anywhere but in NMI: with
 * interrupts off, under spinlocks, in reclaim. They allocate nothing, never wait, and make at most
 * one hypercall (an event). Each copies at most one page.
 * tmem_io.done, tmem_pool_ops.dropped and .room are called without any lock of the core, in atomic
 * context (interrupts on or off): they must not sleep; they may post.
 * tmem_pool_ops.up, .evacuate and .write_back are called in a kernel worker, one at a time; they may
 * sleep, but must not call tmem_pool_open(), _close() or _flush(), and must not wait for an answer.
 *
 * Order. Posts of one key are run in the order in which they were taken: a put, then a flush or a
 * get of the same key, posted under one lock of the module, reach the pool in that order. (A post
 * with TMEM_IO_WAIT that had to wait for room is the exception: it is posted when there is room.
 * But no flush of a persistent pool overtakes a get that waits: it is not posted, -EAGAIN.)
 *
 * Lock order: a module's locks -> the core's locks. A module may hold a spinlock while it posts;
 * callbacks are free to take it.
 */
#ifndef TMEM_CORE_H
#define TMEM_CORE_H

#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/types.h>

/* Old Xen headers of the kernel have a struct tmem_op; the enum of abi.h yields. */
#define tmem_op tmem_wire_op
#include <tmem/abi.h>
#undef tmem_op

struct tmem_pool;

/* Names a page of a pool. All indices of one object are in one queue. */
struct tmem_key {
	u64 oid[3];
	u32 index;
};

/* Pool ids of the modules in this folder. */
#define TMEM_POOL_SWAP 0
#define TMEM_POOL_CACHE 1
#define TMEM_POOL_FRONTSWAP 2
#define TMEM_POOL_CLEANCACHE 3

struct tmem_pool_ops {
	/*
	 * The pool exists; posts are taken as soon as this returns, until the connection is lost:
	 * then they fail with -ENOTCONN (those with TMEM_IO_WAIT wait) until the next up(). kept:
	 * everything that was put before is still there (less what was evicted, for an ephemeral
	 * pool). Not kept: the pool is empty; forget all that was put (ephemeral), or call it lost
	 * (persistent).
	 */
	void (*up)(void *ctx, bool kept);
	/*
	 * Optional. A put or flush (TMEM_OP_*) without a tmem_io was not done: error as in tmem_io.
	 * A put: the pool holds nothing under the key (with -ENOTCONN: maybe the page that was
	 * put). A flush: the pool may still hold the page.
	 */
	void (*dropped)(void *ctx, u8 op, const struct tmem_key *key, int error);
	/* Optional. There is room again after a post returned -EAGAIN or -ENOTCONN. */
	void (*room)(void *ctx);
	/*
	 * on: write all pages that only the pool has to a disk, until .holds() is false, or tell
	 * tmem_pool_cannot_evacuate(). Puts are refused meanwhile. Off: as usual again. Without it,
	 * evacuation fails while the pool holds pages.
	 */
	void (*evacuate)(void *ctx, bool on);
	/*
	 * Optional. Pages that have been in the pool for long shall go to a disk, so many KiB of
	 * them a second; 0: no more.
	 */
	void (*write_back)(void *ctx, u32 kib_s);
	/*
	 * Of persistent pools, needed there: are there pages that exist nowhere else? Published as
	 * can-migrate. Must not sleep, and takes no lock. A page that was put counts before done()
	 * of the put returns.
	 */
	bool (*holds)(void *ctx);
};

/*
 * A put or get that is answered. Allocated by the module beforehand (mempool, part of its own
 * request); the core's from the moment that tmem_put() or tmem_get() returns 0 or 1 until done() is
 * called (it may be called before they return). done() may free or reuse it, unless it holds it.
 *
 * error, set when done() is called:
 *   0           put: stored; get: the page was copied to `page`
 *   -ENOENT     get: the pool has no such page
 *   -ENOSPC     put: refused (no space, frozen); the pool holds nothing under the key
 *   -ECANCELED  it waited, and is not sent: an evacuation (puts of persistent pools) or no
 *               connection (ephemeral pools). Unless it was sent on an earlier connection, which
 *               nobody can tell, the pool holds what it held before
 *   -ESTALE     get: the pool was lost, and the page with it. Put: as -ENOTCONN
 *   -ENOTCONN   the connection was lost; whether a put happened is unknown. With TMEM_IO_WAIT only
 *               for credited puts: others are posted again on the next connection
 *   -ETIMEDOUT  no answer in time. A put may still happen, after which a flush (or put) that is
 *               posted to the key later takes effect; a get's page is not touched any more
 *   -EIO        the daemon answered nonsense, or the request was malformed
 */
struct tmem_io {
	/* Set by the module. */
	struct tmem_pool *pool;
	struct tmem_key key;
	struct page *page;   /* put: source; get: destination. Stays valid until done() */
	unsigned int offset; /* of the 4096 bytes in page; they do not cross the page's end */
	void (*done)(struct tmem_io *io);

	/* Set by the core before done(). */
	int error;

	/* The core's own. */
	u8 op;
	bool waits;
	bool credited;
	unsigned long deadline; /* jiffies */
	u32 connection;
	u32 queue;
	u32 slot;
	struct page *staged;
	bool *held;
	struct list_head link;
};

/*
 * WAIT: if there is no room or no connection, wait inside the core, up to the time-out of the
 *       operation. Without: the post fails at once.
 * CREDIT: puts to a persistent pool: pay with a credit if one can be had at once.
 * ONLY_CREDIT: -EAGAIN if it cannot be paid with a credit now; without WAIT.
 * ELSEWHERE: puts: the page has another place. Once the daemon has been away for as long as a put may
 *       wait, the post fails at once (-ENOTCONN) until it is back.
 */
#define TMEM_IO_WAIT 1u
#define TMEM_IO_CREDIT 2u
#define TMEM_IO_ONLY_CREDIT 4u
#define TMEM_IO_ELSEWHERE 8u

/*
 * Take a put. The page is copied to a slot before this returns, unless it has to wait (then the
 * page is read later, until done()).
 * Returns 1: paid with a credit; the module may report the write as done at once, `page` is not
 * looked at any more, and until done() tmem_io_staged() is the page. If done() then reports an
 * error, the page is to be held (tmem_io_hold()) until it is safe elsewhere. A credited put has no
 * time-out.
 * Returns 0: taken; wait for done(). Negative: not taken, done() is not called: -EAGAIN (no slot or
 * ring entry now), -ENOTCONN (pool is down), -ENOSPC (evacuating).
 */
int tmem_put(struct tmem_io *io, unsigned int flags);

/* Take a get. Returns 0 or, negative, -EAGAIN or -ENOTCONN as above. */
int tmem_get(struct tmem_io *io, unsigned int flags);

/*
 * A put that nobody waits for; failures after a return of 0 are reported by .dropped(). -EAGAIN,
 * -ENOTCONN, -ENOSPC as above: then the pool still holds what it held before.
 */
int tmem_put_and_forget(struct tmem_pool *pool, const struct tmem_key *key, struct page *page,
			unsigned int offset);

/*
 * Flush a page, or all pages of an object. Returns 0 (posted), -EAGAIN or -ENOTCONN (not posted:
 * the pool may still hold the page). Puts leave ring entries free for flushes, a bounded number.
 */
int tmem_flush_page(struct tmem_pool *pool, const struct tmem_key *key);
int tmem_flush_object(struct tmem_pool *pool, const u64 oid[3]);

/* The 4096 bytes of a credited put, before done() and in it, and while it is held. */
void *tmem_io_staged(const struct tmem_io *io);
/* In done() of a put that failed: what tmem_io_staged() returns stays, until tmem_io_release(). */
void tmem_io_hold(struct tmem_io *io);
/*
 * Put what `held` holds once more, under the key of `io`; io->page is the staged page. Needs no
 * slot of its own while the connection lasts, and has no time-out then. Returns 0 or negative as
 * tmem_put() without flags.
 */
int tmem_put_held(struct tmem_io *io, const struct tmem_io *held);
/* Give a held slot back. The io is the module's again. Its pool may be closed. */
void tmem_io_release(struct tmem_io *io);

/*
 * Open pool `id` (0 .. 15, one owner; -EBUSY) with TMEM_POOL_* flags (not shared). Works without a
 * connection; up() follows when the pool exists. Sleeps. Returns an ERR_PTR on failure.
 */
struct tmem_pool *tmem_pool_open(unsigned int id, u32 flags, const struct tmem_pool_ops *ops,
				 void *ctx);
/*
 * Destroy the pool. The module posts nothing any more. Sleeps, for a bounded time; after it no
 * callback of this pool runs.
 */
void tmem_pool_close(struct tmem_pool *pool);
/*
 * Empty the pool: waits for what is in flight, meanwhile posts fail with -EAGAIN. Sleeps, for a
 * bounded time. 0: empty. Else (-ENOTCONN, -ETIMEDOUT, -EIO) the next up() says whether it is.
 */
int tmem_pool_flush(struct tmem_pool *pool);
bool tmem_pool_is_up(const struct tmem_pool *pool);

/* .holds() of a pool may say something else now: it is asked, with a delay. */
void tmem_holds_changed(void);
/* Answer to .evacuate(): it cannot be done, and why, for people: a string that is never freed. */
void tmem_pool_cannot_evacuate(struct tmem_pool *pool, const char *why);

/* /sys/kernel/tmem: a module adds its own folder below it. */
extern struct kobject *tmem_kobj;

#endif /* TMEM_CORE_H */
