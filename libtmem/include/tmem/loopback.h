/* SPDX-License-Identifier: MIT */
/*
 * The loopback handshake: how a process on the same machine gets a ring without Xen.
 *
 * A SOCK_SEQPACKET unix socket. The client sends one tmem_loopback_hello; the daemon answers one
 * tmem_loopback_welcome. With status 0 it carries 1 + 2 * queues descriptors (SCM_RIGHTS): the
 * memfd, then for each queue an eventfd to write to that wakes the daemon, and the read end of a
 * pipe that becomes readable when the daemon wakes the client (docs/protocol.md says why a pipe).
 * The memfd is sealed against resizing and holds the queues one behind the other, each
 * (2^ring_order + slots) pages: ring pages first, then its slots. Closing the socket ends the
 * connection; the daemon then drops the client's pages (a loopback client lives as long as its
 * socket).
 */
#ifndef TMEM_LOOPBACK_H
#define TMEM_LOOPBACK_H

#include "tmem/abi.h"

#define TMEM_LOOPBACK_MAGIC 0x706f6f6cu /* "loop" */
#define TMEM_LOOPBACK_NAME_BYTES 64

struct tmem_loopback_hello {
	tmem_u32 magic;
	tmem_u32 version_min; /* range of TMEM_ABI_VERSION the client speaks */
	tmem_u32 version_max;
	tmem_u32 queues; /* wanted; 0 = the daemon's choice */
	tmem_u32 ring_order;
	tmem_u32 slots; /* per queue */
	tmem_u64 features;
	tmem_u8 uuid[16]; /* who it is; unique among connected clients */
	char name[TMEM_LOOPBACK_NAME_BYTES]; /* NUL-terminated, printable ASCII without spaces */
};

struct tmem_loopback_welcome {
	tmem_u32 magic;
	tmem_u32 status; /* 0, or an errno value; then `reason` says what to do */
	tmem_u32 version;
	tmem_u32 queues; /* granted: at most what was wanted */
	tmem_u32 ring_order;
	tmem_u32 slots;
	tmem_u64 features;
	tmem_u64 store_epoch;
	tmem_u32 client; /* the number that `tmem list` shows */
	tmem_u32 reserved;
	char reason[128];
};

#endif /* TMEM_LOOPBACK_H */
