/* SPDX-License-Identifier: GPL-2.0-only */
/* The counters of a disk: one list, from which the structure and the files in sysfs are made. */
#ifndef TMEM_CACHE_STATS_H
#define TMEM_CACHE_STATS_H

#include <linux/percpu.h>

#define CACHE_COUNTERS(X)                                                                          \
	/* Evictions, in pages. */                                                                 \
	X(puts)			 /* posted to the pool */                                          \
	X(puts_staged)		 /* waited for room in the guest before they were posted */        \
	X(puts_stale)		 /* not put: the block was written since */                        \
	X(puts_no_room)		 /* not put: no slot or ring entry, or no connection */            \
	X(puts_refused)		 /* posted, but the pool did not take it */                        \
	X(puts_over_limit)	 /* not put: the rest of a large folio */                          \
	X(evictions_unsupported) /* not put: file system or file of a kind that is not cached */   \
	/* Reads, in pages. */                                                                     \
	X(hits)			 /* filled from the pool */                                        \
	X(misses)		 /* not in the pool */                                             \
	X(stale_hits)		 /* thought to be there, but miss, time-out or error: disk */      \
	X(gets_no_room)		 /* there, but the get could not be posted: disk */                \
	/* Bios. */                                                                                \
	X(reads)		 /* of the page cache */                                           \
	X(reads_full)		 /* served from the pool alone */                                  \
	X(reads_partial)	 /* served from pool and disk */                                   \
	X(reads_other)		 /* not the page cache's, or not cacheable */                      \
	X(writes)		 /* and discards, seen by the hook */                              \
	X(writes_traced)	 /* the same, seen by the block layer's tracepoint (hook only) */  \
	X(writes_missed)	 /* seen by the tracepoint alone: the cache goes off */            \
	X(writes_deferred)	 /* submitted from a worker, for want of memory */                 \
	X(write_errors)                                                                            \
	/* Invalidation. */                                                                        \
	X(invalidations)	 /* pages of the pool made invalid by writes */                    \
	X(flushes_no_room)	 /* of them not flushed at once: the pool drops them by age */     \
	X(flushes)		 /* of everything: resize, media change, write error ... */        \
	/* Records: page = block. */                                                               \
	X(records_read)                                                                            \
	X(records_written)                                                                         \
	/* Spot checks of hits. */                                                                 \
	X(spot_checks)                                                                             \
	X(spot_unclear)		 /* differed, but the block was being written */                   \
	X(spot_mismatches)

#define X(name) u64 name;
struct cache_counters {
	CACHE_COUNTERS(X)
};
#undef X

#endif
