/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of tmem_swap: a swap device whose pages are in tmem.
 *
 *   disk.c      the block device: bios, cut into pages
 *   slots.c     where each page is, and the writes under way
 *   write.c     a page goes to the pool
 *   spill.c     a page that the pool did not take goes to the backing disk, or is tried again
 *   read.c      a page comes back
 *   owed.h      (tmem_core) pages of freed slots leave the pool, in batches
 *   evacuate.c  all pages leave the pool for the backing disk
 *   writeback.c those that have been in the pool for long do
 *
 * A slot is a page of the device. Slot 0, where mkswap writes its header, stays in the guest.
 *
 * Lock order: swap's locks of its callers (swap_info_struct.lock and the like)
 *             -> slot lock (irqsave; never two) -> spill_lock -> locks of tmem_core.
 *
 * Nothing on the way of a write or a free allocates but from the mempools below (of a slab, and when
 * that fails, of their own reserve), which are for this only: a piece waits for the pool or the
 * backing disk, never for another piece of its bio. Pieces of early writes stay while the daemon is
 * away, for how long nobody knows: there are fewer of them than the mempool keeps.
 */
#ifndef TMEM_SWAP_H
#define TMEM_SWAP_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/mempool.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "owed.h"
#include "tmem_core.h"

#define AT_ONCE 16 /* pages that evacuate.c and writeback.c move */
#define SLOT_BUCKETS 4096u /* a multiple of TMEM_SLOT_LOCKS: a bucket has one lock */

/* Where a slot's page is. */
enum slot_state {
	SLOT_EMPTY, /* never written, or freed: reads as zeroes */
	SLOT_POOL,  /* in the pool, or in a piece that is on its way there */
	SLOT_DISK,  /* on the backing disk */
	SLOT_LOST,  /* was written, and is nowhere: reads are I/O errors */
};

/* A bio, while its pages are read or written one by one. */
struct swap_request {
	struct bio *bio;
	atomic_t left; /* pieces, and one for who submits them */
	blk_status_t status;
	unsigned long start;
};

/* One page on its way. Found by its slot until it is done. */
struct piece {
	struct tmem_io io;
	struct tmem_io again; /* a put of what is held */
	struct hlist_node node;
	struct list_head spill;
	struct swap_request *request; /* to tell; NULL: told already, or nobody asked */
	struct page *buffer;	      /* evacuation's own page: the slot's, once it is `moving` */
	u32 slot;
	bool early;	 /* the write was reported as done: io's staged page is the only copy */
	bool held;	 /* io is done, its staged page is kept */
	bool moving;	 /* buffer has the slot's page, which goes from the pool to the disk */
	bool reread;	 /* of a read: the page went to the disk meanwhile */
	bool to_disk;	 /* is being written to the disk */
	bool superseded; /* the slot was freed or written again */
	bool older;	 /* the pool may hold an older page, unless it gets this one */
};

enum swap_stat {
	SWAP_WRITES,
	SWAP_WRITES_POOL,
	SWAP_WRITES_EARLY,
	SWAP_WRITES_DISK,
	SWAP_WRITE_ERRORS,
	SWAP_READS,
	SWAP_READS_POOL,
	SWAP_READS_STAGED,
	SWAP_READS_DISK,
	SWAP_READS_EMPTY,
	SWAP_READ_ERRORS,
	SWAP_LOST,
	SWAP_FREES,
	SWAP_FLUSHES,
	SWAP_EVACUATED,
	SWAP_WRITTEN_BACK,
	SWAP_POOL_PAGES, /* gauges from here */
	SWAP_DISK_PAGES,
	SWAP_HELD,
	SWAP_STATS,
};

struct swap_device {
	struct gendisk *disk;
	int major;
	u32 slots;
	struct tmem_pool *pool;
	struct tmem_backing backing;
	struct page *header;

	struct tmem_owed owed;	    /* flushes, and the slots' locks: for state and buckets */
	u8 *state;		    /* enum slot_state, by slot */
	struct hlist_head *buckets; /* pieces, by slot */

	mempool_t *pieces;
	atomic_t pieces_out;
	atomic_t pieces_early;
	int pieces_early_max;
	mempool_t *requests;
	struct bio_set bios;
	struct workqueue_struct *worker;

	spinlock_t spill_lock;
	struct list_head spills;
	struct delayed_work spill_work;
	struct delayed_work evacuate_work;
	bool evacuating;
	bool evacuate_failed; /* a page could not be moved */
	atomic_t evacuations; /* under way */

	struct delayed_work write_back_work;
	u32 write_back_kib_s;	   /* what the daemon asks for */
	unsigned long *marked;	   /* by slot: in the pool since marked_at, neither put nor got */
	unsigned long marked_at;   /* jiffies */
	unsigned long marked_next; /* marked slots from here on; 0: not marked yet */

	atomic64_t stats[SWAP_STATS];
};

extern struct swap_device swap;

static inline void swap_count(enum swap_stat stat)
{
	atomic64_inc(&swap.stats[stat]);
}

static inline void slot_lock(u32 slot, unsigned long *flags)
{
	tmem_slot_lock(&swap.owed, slot, flags);
}

static inline void slot_unlock(u32 slot, unsigned long flags)
{
	tmem_slot_unlock(&swap.owed, slot, flags);
}

/* disk.c */
int swap_disk_add(bool synchronous);
void swap_disk_remove(void);
void request_done(struct swap_request *request, int error);

/* The page in the pool is wanted, or another. */
static inline void slot_unmark(u32 slot)
{
	if (test_bit(slot, swap.marked))
		clear_bit(slot, swap.marked);
}

/* slots.c; the slot's lock is held. */
int slots_init(u32 slots);
void slots_exit(void);
void slot_set(u32 slot, enum slot_state state);
void slot_lost(u32 slot);
void slot_supersede(u32 slot);
struct piece *slot_staged(u32 slot);
struct piece *slot_moving(u32 slot);
struct piece *slot_current(u32 slot);
void slot_older_in_pool(u32 slot);
bool slot_on_its_way_to_disk(u32 slot, const struct piece *but);
void piece_link(struct piece *piece);
void piece_unlink(struct piece *piece);
void piece_hold(struct piece *piece);
/* slots.c; takes locks itself. */
void slot_free(u32 slot);
void slot_not_flushed(const struct tmem_key *key);
void slots_lost(void);
struct piece *piece_new(u32 slot, gfp_t gfp);
void piece_free(struct piece *piece);

/* write.c, read.c */
void write_page(u32 slot, struct page *page, unsigned int offset, struct swap_request *request);
bool write_page_now(u32 slot, struct page *page);
void read_page(u32 slot, struct page *page, unsigned int offset, struct swap_request *request);
bool read_page_now(u32 slot, struct page *page, unsigned int offset);
void read_again(struct piece *piece);

/* spill.c */
void spill_add(struct piece *piece);
void spill_run(struct work_struct *work);
void disk_read(u32 slot, struct page *page, unsigned int offset, struct swap_request *request);

/* evacuate.c */
void evacuate_run(struct work_struct *work);
void evacuate_set(void *ctx, bool on);
void evacuate_end(struct piece *piece, bool failed);
bool evacuate_slot(u32 slot);

/* writeback.c */
void write_back_run(struct work_struct *work);
void write_back_set(void *ctx, u32 kib_s);
void write_back_stop(void);

/* stats.c */
int swap_stats_init(void);
void swap_stats_exit(void);

#endif /* TMEM_SWAP_H */
