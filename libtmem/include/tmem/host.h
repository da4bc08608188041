/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Room for guests, for toolstacks: before a guest is built or received, ask tmemd for as much of
 * the host's memory as the guest needs; the pool gives it back.
 *
 * Every call asks over tmemd's control socket (NULL: TMEM_CONTROL_SOCKET) and returns 0 or a
 * negative errno value; room.reason then says why in words, and what to do:
 *   -ENOTCONN    no tmemd answers: there is no pool to ask
 *   -EOPNOTSUPP  the pool's memory is not the host's (a memfd): it never stands in a guest's way
 *   -ENOSPC      so much cannot be had: guests' persistent pages stay
 *   -ETIMEDOUT   it is not free within timeout_ms
 *   -ECANCELED   somebody else asked for room meanwhile, or took the request back
 *   -EACCES      only root and members of [control] group in tmemd.toml may ask for room
 *   -EINVAL      an argument is out of range
 *   -ENOMEM, -EIO
 *
 * Threads: any call from any thread; nothing is kept between calls. The host has one request for
 * room at a time, the latest: who starts guests side by side must let one have its memory (claimed
 * in Xen, as libxl does at the start of a build) before asking for the next.
 */
#ifndef TMEM_HOST_H
#define TMEM_HOST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TMEM_CONTROL_SOCKET "/run/tmemd/control.sock"
#define TMEM_UNKNOWN_BYTES UINT64_MAX

struct tmem_room {
	uint64_t free_bytes;	 /* of the host, claimed memory not counted; TMEM_UNKNOWN_BYTES off Xen */
	uint64_t freeable_bytes; /* that the pool could give back besides */
	char reason[256];	 /* of an error, NUL-terminated; empty after success */
};

/*
 * Waits until `bytes` (1 MiB to 64 TiB) of the host's memory are free, at most timeout_ms
 * milliseconds (up to an hour; 0: one look). From then on the pool takes none of it for a minute, or
 * until tmem_cancel_room. After an error nothing is held. `out` may be NULL.
 */
int tmem_make_room(const char *control_socket, uint64_t bytes, uint32_t timeout_ms,
		   struct tmem_room *out);

/* Ends the hold: the guest has its memory, or will not come. */
int tmem_cancel_room(const char *control_socket);

/* What is free and what could be given back. Everybody who can open the socket may ask. */
int tmem_freeable(const char *control_socket, struct tmem_room *out);

#ifdef __cplusplus
}
#endif
#endif /* TMEM_HOST_H */
