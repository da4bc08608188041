/* SPDX-License-Identifier: GPL-2.0-only */
/* The counters of a disk, per CPU. sysfs.c names them all. */
#ifndef TMEM_CACHE_STATS_H
#define TMEM_CACHE_STATS_H

#include <linux/types.h>

struct cache_counters {
	/* Evictions, in pages. */
	u64 puts;			/* posted to the pool */
	u64 puts_staged;		/* waited for room in the guest before they were posted */
	u64 puts_stale;			/* not put: the block was written since */
	u64 puts_no_room;		/* not put: no slot or ring entry, or no connection */
	u64 puts_refused;		/* posted, but the pool did not take it */
	u64 puts_over_limit;		/* not put: the rest of a large folio */
	u64 evictions_unsupported;	/* not put: file system or file of a kind that is not cached */

	/* Reads, in pages. */
	u64 hits;			/* filled from the pool */
	u64 misses;			/* not in the pool */
	u64 stale_hits;			/* thought to be there, but miss, time-out or error: disk */
	u64 gets_no_room;		/* there, but the get could not be posted: disk */

	/* Bios. */
	u64 reads;			/* of the page cache */
	u64 reads_full;			/* served from the pool alone */
	u64 reads_partial;		/* served from pool and disk */
	u64 reads_other;		/* not the page cache's, or not cacheable */
	u64 writes;			/* and discards, seen by the hook */
	u64 writes_traced;		/* the same, seen by the block layer's tracepoint (hook only) */
	u64 writes_missed;		/* seen by the tracepoint alone: the cache goes off */
	u64 writes_deferred;		/* submitted from a worker, for want of an io */
	u64 write_errors;

	/* Invalidation. */
	u64 invalidations;		/* pages of the pool made invalid by writes */
	u64 flushes_no_room;		/* of them not flushed at once: the pool drops them by age */
	u64 flushes;			/* of everything: resize, media change, write error ... */

	/* Records: page = block. */
	u64 records_read;
	u64 records_written;

	/* Spot checks of hits. */
	u64 spot_checks;
	u64 spot_unclear;		/* differed, but the block was being written */
	u64 spot_mismatches;
};

#endif
