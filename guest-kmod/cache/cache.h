/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of tmem_cache: clean page-cache pages, put into tmem when they are evicted, under the disk
 * block that they equal; read back when that block is read.
 *
 *   records.c      page frame -> (disk, block, generation) that its bytes equal
 *   generations.c  a counter per (hashed) block, moved by every write
 *   index.c        which blocks are in the pool; put, get and invalidate, each in one locked step
 *   evict.c        tracepoints: eviction puts; dirtying and freeing end a record
 *   stage.c        puts that wait for room
 *   pages.c        which pages may be put
 *   bio.c          reads and writes on their way to the disk and back
 *   hit.c, spot.c  reads served by the pool; their comparison with the disk
 *   ftrace_hook.c, self_test.c, dm_target.c   how bios come here
 *   disks.c, enable.c, exclusive.c, sysfs.c   which disks, and what the owner sees
 *
 * Invariant: a page in the pool whose `present` bit is set equals its disk block as of the block's
 * last completed write, or a write to it is in flight. A clear bit promises nothing about the pool:
 * a page that may linger there is never asked for before a put has replaced it.
 *  - A write moves the generation and clears the bit before it is submitted, and again when it has
 *    completed. A put sets the bit only if the generation still is the record's, in the same locked
 *    step. So a put that comes first is cleared, and one that comes later is refused.
 *  - A record is made when a read completes and no write began or ended meanwhile, or when a page's
 *    own writeback completes and no other write did so meanwhile and the page was not dirtied.
 *  - A record ends when its page is dirtied, leaves the page cache or is freed. Of files with blocks
 *    below a page's size, clean pages with records can differ (truncation): pages.c refuses them.
 *
 * Lock order: cache_mutex (start and stop of disks)
 *   inode->i_lock -> i_pages (evictions) -> cache_disk.locks[] (irqsave, never two)
 *   -> the core's locks.
 *   cache_disk.deferred_lock: alone, but for the workqueue's.
 */
#ifndef TMEM_CACHE_H
#define TMEM_CACHE_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/kobject.h>
#include <linux/llist.h>
#include <linux/mempool.h>
#include <linux/percpu-refcount.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "faults.h"
#include "stats.h"
#include "tmem_core.h"

#define CACHE_BLOCK_SECTORS 8u
#define CACHE_OBJECT_BLOCKS 1024u
#define CACHE_STRIPES 16u
#define CACHE_NUMBERS 16u	   /* of disks; 0 is none */
#define CACHE_BLOCKS_MAX (1ull << 32) /* a record has 32 bits for the block: 16 TiB */

enum cache_state {
	CACHE_STARTING, /* writes are watched; nothing is put, got or recorded */
	CACHE_ON,
	CACHE_FLUSHING, /* as starting, until the worker has forgotten everything */
	CACHE_DOUBT,	/* as starting, until a difference is explained */
	CACHE_OFF,	/* bios pass untouched; `reason` says why */
	CACHE_STATES
};

struct cache_disk {
	unsigned int number; /* in records; 1 .. 15 */
	u64 id;		     /* in keys; id % CACHE_NUMBERS is the number, never used again */
	bool is_target;	     /* comes by device mapper, not by the hook */
	void (*pass)(struct bio *bio); /* on to the device: past the hook, or below the target */
	bool forced;
	struct gendisk *gendisk; /* whose file systems are cached; a reference, unless a target's */
	int state;		 /* enum cache_state, by cmpxchg */
	char reason[80];

	struct gendisk *watched; /* the hook's own, or the one below the target: the caller's */
	sector_t capacity;	 /* of watched, as last seen; a change flushes */
	u64 diskseq;
	u64 blocks;	   /* covered by present */
	unsigned long *present;
	spinlock_t locks[CACHE_STRIPES]; /* of present's objects, and the order of posts */

	mempool_t ios; /* struct cache_io; its own, since disks may lie on each other */
	struct percpu_ref users; /* bios and answers on their way */
	struct completion unused;
	struct bio_list deferred;
	spinlock_t deferred_lock;
	struct work_struct deferred_work;
	struct workqueue_struct *submit_queue; /* for it; the caller's */
	struct delayed_work doubt_work;
	u64 doubt_block;
	u32 doubt_generation;
	struct bio *probe; /* of the self-test */
	unsigned int probe_seen;
	struct cache_counters __percpu *counters;
	struct kobject kobj;
	struct completion kobj_released;
};

#define cache_count(disk, name, n) this_cpu_add((disk)->counters->name, n)

/* A bio on its way. Lives from submission to completion; holds a user of the disk. */
struct cache_io {
	struct cache_disk *disk;
	struct bio *bio;
	bio_end_io_t *end_io; /* the bio's own, while it has ours */
	void *private;
	struct bvec_iter iter; /* as submitted */
	u64 block;	       /* first */
	u32 count;	       /* blocks */
	bool recordable;
	u64 generations; /* sum over the blocks, at submission */
	atomic_t pending; /* parts of a hit that are not done */
	int status;	  /* blk_status_t, first error of the parts */
	struct llist_node node;
};

/* One page of a read, asked from the pool. */
struct cache_get {
	struct tmem_io io; /* first */
	struct cache_io *parent;
	u32 at; /* block within the parent */
	struct page *copy; /* what the disk has, for a spot check */
	struct llist_node node;
};

/* main.c */
extern struct tmem_pool *cache_pool;
extern struct workqueue_struct *cache_queue; /* WQ_MEM_RECLAIM; its works wait for no other's */
void cache_queue_flush(void);
extern unsigned int cache_spot_percent;
extern unsigned int cache_folio_pages;
extern unsigned int cache_stage_pages;
extern unsigned int cache_index_limit_kib;

/* records.c */
int cache_records_init(void);
void cache_records_exit(void);
void cache_record_set(struct page *page, const struct cache_disk *disk, u64 block, u32 generation);
u64 cache_record_take(unsigned long pfn);
void cache_records_drop(unsigned long pfn, unsigned long pages);
static inline unsigned int cache_record_number(u64 record) { return record >> 60; }
static inline u64 cache_record_block(u64 record) { return (record >> 28) & U32_MAX; }

/* generations.c */
int cache_generations_init(void);
void cache_generations_exit(void);
u32 cache_generation(const struct cache_disk *disk, u64 block);
u64 cache_generation_sum(const struct cache_disk *disk, u64 block, u32 count);
bool cache_generation_is(const struct cache_disk *disk, u64 record);
void cache_generations_move(const struct cache_disk *disk, u64 block, u32 count);
void cache_generations_end(const struct cache_disk *disk);
#define CACHE_GENERATION_MASK ((1u << 28) - 1)

/* index.c */
int cache_index_init(struct cache_disk *disk, sector_t sectors);
void cache_index_free(struct cache_disk *disk);
bool cache_index_any(const struct cache_disk *disk, u64 block, u32 count);
bool cache_index_has(const struct cache_disk *disk, u64 block);
int cache_index_put(struct cache_disk *disk, u64 record, struct page *page);
bool cache_index_get(struct cache_disk *disk, u64 block, struct cache_get *get);
void cache_index_invalidate(struct cache_disk *disk, u64 block, u32 count);
void cache_index_clear(struct cache_disk *disk, const struct tmem_key *key);
void cache_index_forget(struct cache_disk *disk);

/* stage.c */
int cache_stage_init(void);
void cache_stage_exit(void);
bool cache_stage_put(u64 record, struct page *page);
void cache_stage_run(unsigned int most);

/* evict.c */
int cache_probes_find(void);
int cache_probes_register(void);

/* pages.c */
bool cache_page_is_read(struct page *page);
bool cache_folio_cacheable(struct folio *folio, struct cache_disk **disk);
extern atomic_long_t cache_btrfs_evictions;

/* bio.c */
int cache_bio_init(void);
void cache_bio_exit(void);
int cache_ios_init(struct cache_disk *disk);
void cache_submit(struct cache_disk *disk, struct bio *bio);
const struct cache_disk *cache_owner(const struct bio *bio);
void cache_io_finish(struct cache_io *io);
void cache_run_deferred(struct work_struct *work);
u64 cache_sector(const struct cache_disk *disk, struct bio *bio);
extern struct bio_set cache_bios;

/* hit.c */
int cache_hit_init(void);
void cache_hit_exit(void);
bool cache_hit_read(struct cache_io *io);
void cache_part_done(struct cache_io *io, blk_status_t status);
void cache_get_retry(struct cache_get *get);
void cache_get_finish(struct cache_get *get, blk_status_t status);
void cache_part_end(struct bio *bio);
#define CACHE_HIT_BLOCKS 256u

/* spot.c */
int cache_spot_init(void);
void cache_spot_exit(void);
bool cache_spot_wanted(void);
void cache_spot_check(struct cache_get *get);
void cache_spot_end(struct bio *bio);
void cache_spot_verdict(struct work_struct *work);

/* disks.c */
extern struct mutex cache_mutex;
struct cache_disk *cache_disk_of(const struct gendisk *gendisk); /* for RCU readers */
struct cache_disk *cache_disk_get(const struct gendisk *gendisk); /* a user; hooked disks only */
struct cache_disk *cache_disk_get_numbered(unsigned int number);  /* a user */
struct cache_disk *cache_disk_new(struct gendisk *gendisk, struct gendisk *watched,
				  struct workqueue_struct *submit_queue, sector_t sectors,
				  void (*pass)(struct bio *bio), bool forced);
struct workqueue_struct *cache_submit_queue_new(const char *name);
int cache_disk_publish(struct cache_disk *disk);
void cache_disk_withdraw(struct cache_disk *disk);
void cache_disk_free(struct cache_disk *disk);
bool cache_disk_set_on(struct cache_disk *disk, int from);
void cache_disk_flush(struct cache_disk *disk, const char *why);
void cache_disk_off(struct cache_disk *disk, const char *why);
void cache_disk_look(struct cache_disk *disk);
void cache_disks_forget(void);
void cache_disks_flush(const char *why);
void cache_flush_stop(void);

/* enable.c */
int cache_enable(const char *what);
int cache_disable(const char *name);

/* exclusive.c: NULL, or why not */
const char *cache_disk_not_exclusive(struct gendisk *gendisk);
const char *cache_hook_not_exclusive(struct gendisk *gendisk);
const char *cache_disk_impossible(struct gendisk *gendisk);
const char *cache_hook_impossible(struct gendisk *gendisk);

/* sysfs.c */
int cache_sysfs_init(void);
void cache_sysfs_exit(void);
int cache_sysfs_add(struct cache_disk *disk);
void cache_sysfs_remove(struct cache_disk *disk);

/* ftrace_hook.c */
int cache_hook_install(void);
void cache_probe_queue(void *data, struct bio *bio);
void cache_pass(struct bio *bio);

/* self_test.c */
int cache_self_test(struct cache_disk *disk, struct block_device *bdev);
#define CACHE_PROBE_HOOKED 1u
#define CACHE_PROBE_TRACED 2u

#endif
