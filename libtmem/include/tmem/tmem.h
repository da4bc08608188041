/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libtmem: a client of tmemd on the same machine (loopback transport).
 *
 * Pages are 4096 bytes. A page is named by (pool, object id, index). Every call that talks to the
 * daemon returns a status >= 0 (enum tmem_status of abi.h) or a negative errno value:
 *   -ENOTCONN   the connection is gone (daemon stopped, or closed it after bad requests)
 *   -ETIMEDOUT  no answer within timeout_ms; the connection is closed, as a late answer could
 *               otherwise be taken for another's
 *   -EINVAL     an argument is out of range
 * Nothing is retried. A put may always be refused, and an ephemeral page may always be gone.
 *
 * Threads: one tmem_client may be used by many threads at once; calls on the same queue wait for
 * each other. Two threads that race on the same key get either order. tmem_disconnect must be the
 * last call.
 */
#ifndef TMEM_TMEM_H
#define TMEM_TMEM_H

#include <stddef.h>
#include <stdint.h>

#include "tmem/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TMEM_DEFAULT_SOCKET "/run/tmemd/loopback.sock"

struct tmem_client;

struct tmem_connect_options {
	const char *socket_path; /* NULL: TMEM_DEFAULT_SOCKET */
	const char *name;	 /* shown by `tmem list`; NULL: "pid-<pid>" */
	uint8_t uuid[16];	 /* all zero: random */
	uint32_t queues;	 /* 0: the daemon's default; at most TMEM_QUEUES_MAX */
	uint32_t ring_order;	 /* 0: TMEM_RING_ORDER_DEFAULT */
	uint32_t slots;		 /* per queue; 0: TMEM_SLOTS_DEFAULT */
	uint32_t timeout_ms;	 /* per call; 0: 5000 */
};

struct tmem_key {
	uint32_t pool;
	uint32_t index;
	uint64_t oid[3];
};

/*
 * Connects. On success stores the client in *client and returns 0; else a negative errno value,
 * and, where `reason` is not NULL, writes at most reason_bytes of explanation (NUL-terminated).
 * `options` may be NULL (all defaults).
 */
int tmem_connect(const struct tmem_connect_options *options, struct tmem_client **client,
		 char *reason, size_t reason_bytes);

/* Closes the connection; the daemon drops the client's pages. NULL is allowed. */
void tmem_disconnect(struct tmem_client *client);

/* The number that `tmem list` shows for this client. */
uint32_t tmem_client_number(const struct tmem_client *client);

/* The store epoch of the connection: another epoch means that the daemon lost all pages. */
uint64_t tmem_store_epoch(const struct tmem_client *client);

/*
 * Creates pool `pool` (0 .. 15, the caller's choice) with TMEM_POOL_* flags; `uuid` (16 bytes)
 * names a shared pool and may be NULL for others. TMEM_OK also when it exists with the same flags;
 * TMEM_REFUSED when it exists with others or a shared pool is not authorised for this client.
 */
int tmem_pool_create(struct tmem_client *client, uint32_t pool, uint32_t flags,
		     const uint8_t *uuid);

/* Drops all pages and the pool. TMEM_OK or TMEM_NO_SUCH_POOL. Waits for all queues to drain. */
int tmem_pool_destroy(struct tmem_client *client, uint32_t pool);

/* Drops all pages, keeps the pool. TMEM_OK or TMEM_NO_SUCH_POOL. Waits for all queues to drain. */
int tmem_pool_flush(struct tmem_client *client, uint32_t pool);

/*
 * Stores the 4096 bytes at `page`. TMEM_OK; or TMEM_NO_SPACE, TMEM_FROZEN, TMEM_NO_SUCH_POOL.
 * After TMEM_NO_SPACE the key is empty, whatever it held before.
 */
int tmem_put(struct tmem_client *client, const struct tmem_key *key, const void *page);

/*
 * Fetches a page into the 4096 bytes at `page`. TMEM_OK, or TMEM_MISS (`page` untouched).
 * A hit in a private ephemeral pool removes the page; persistent and shared pools keep it.
 */
int tmem_get(struct tmem_client *client, const struct tmem_key *key, void *page);

/* Drops one page: TMEM_OK, or TMEM_MISS if there was none. */
int tmem_flush_page(struct tmem_client *client, const struct tmem_key *key);

/* Drops all pages of key->oid (key->index is ignored): TMEM_OK, or TMEM_MISS if there were none. */
int tmem_flush_object(struct tmem_client *client, const struct tmem_key *key);

/* One operation of a batch. */
struct tmem_batch_op {
	uint8_t op; /* TMEM_OP_PUT, _GET, _FLUSH_PAGE or _FLUSH_OBJECT */
	struct tmem_key key;
	void *page; /* put: read; get: written on TMEM_OK; else unused */
	int status; /* out: as the single call would return */
};

/*
 * Runs `count` operations with as few notifications as possible and waits for all of them.
 * Operations on one key run in the order given; others in any order. Returns 0 when every op has
 * a status >= 0, else the first negative one.
 */
int tmem_batch(struct tmem_client *client, struct tmem_batch_op *ops, size_t count);

/* "ok", "miss", ... for a status; strerror for a negative errno value. Never NULL. */
const char *tmem_status_name(int status);

#ifdef __cplusplus
}
#endif
#endif /* TMEM_TMEM_H */
