// SPDX-License-Identifier: GPL-2.0-only
/*
 * tmem_cleancache: the cleancache of kernels up to 5.16 keeps its pages in the host's pool.
 *
 * A page is under the file's key; the upper 32 bits of the object's id, which must be free in the
 * key, are the file system's number. Numbers are not used again, so the pages of one that is
 * unmounted grow old in the pool and nobody asks for them.
 *
 * Gets take the page out of the pool, but one that was not posted leaves it there, where it would be
 * old after a write. So a put that cannot be posted flushes, and a flush that cannot be posted puts
 * the whole pool in doubt: nothing is put, got or flushed until a worker has emptied it.
 *
 * Context: get_page() sleeps, bounded by tmem_core's time-out; put_page() and the invalidations are
 * atomic (lock and interrupts of the page cache). Nothing allocates. No lock of our own.
 */
#define pr_fmt(fmt) "tmem_cleancache: " fmt
#include <linux/cleancache.h>
#include <linux/completion.h>
#include <linux/module.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "tmem_core.h"

#define AGAIN_MS 1000

struct waited {
	struct tmem_io io;
	struct completion done;
};

static struct tmem_pool *pool;
static atomic_t file_systems = ATOMIC_INIT(0);
static atomic_t doubts = ATOMIC_INIT(0); /* flushes missed since the pool was empty */

static void empty_pool(struct work_struct *work);
static DECLARE_DELAYED_WORK(emptying, empty_pool);

static void empty_pool(struct work_struct *work)
{
	int seen = atomic_read(&doubts);

	if (!tmem_pool_flush(pool) && atomic_cmpxchg(&doubts, seen, 0) == seen)
		return;
	schedule_delayed_work(&emptying, msecs_to_jiffies(AGAIN_MS));
}

static void doubt(void)
{
	if (atomic_inc_return(&doubts) == 1)
		pr_info_once("a flush found no room: the pool is emptied\n");
	schedule_delayed_work(&emptying, 0);
}

static bool key_of(int fs, const struct cleancache_filekey *file, pgoff_t index,
		   struct tmem_key *key)
{
	BUILD_BUG_ON(sizeof(file->u.key) != sizeof(key->oid));
	if (file->u.key[CLEANCACHE_KEY_MAX - 1] || index > U32_MAX)
		return false;
	memcpy(key->oid, file->u.key, sizeof(key->oid));
	key->oid[2] |= (u64)fs << 32;
	key->index = index;
	return true;
}

static int init_fs(size_t page_size)
{
	int fs = atomic_inc_return(&file_systems);

	return fs > 0 && page_size == TMEM_PAGE_BYTES ? fs : -1;
}

/* A file system of several machines: others would not see what is invalidated here. */
static int init_shared_fs(uuid_t *uuid, size_t page_size)
{
	return -1;
}

static void get_done(struct tmem_io *io)
{
	complete(&container_of(io, struct waited, io)->done);
}

static int get_page_of(int fs, struct cleancache_filekey file, pgoff_t index, struct page *page)
{
	struct waited waited = { .io = { .pool = pool, .page = page, .done = get_done } };

	if (!key_of(fs, &file, index, &waited.io.key) || atomic_read(&doubts))
		return -1;
	init_completion(&waited.done);
	if (tmem_get(&waited.io, TMEM_IO_WAIT))
		return -1;
	wait_for_completion_io(&waited.done);
	return waited.io.error ? -1 : 0;
}

static void put_page_of(int fs, struct cleancache_filekey file, pgoff_t index, struct page *page)
{
	struct tmem_key key;

	if (!key_of(fs, &file, index, &key) || atomic_read(&doubts))
		return;
	if (tmem_put_and_forget(pool, &key, page, 0) && tmem_flush_page(pool, &key))
		doubt();
}

static void invalidate_page_of(int fs, struct cleancache_filekey file, pgoff_t index)
{
	struct tmem_key key;

	if (key_of(fs, &file, index, &key) && !atomic_read(&doubts) && tmem_flush_page(pool, &key))
		doubt();
}

static void invalidate_inode(int fs, struct cleancache_filekey file)
{
	struct tmem_key key;

	if (key_of(fs, &file, 0, &key) && !atomic_read(&doubts) &&
	    tmem_flush_object(pool, key.oid))
		doubt();
}

static void invalidate_fs(int fs)
{
}

static const struct cleancache_ops ops = {
	.init_fs = init_fs,
	.init_shared_fs = init_shared_fs,
	.get_page = get_page_of,
	.put_page = put_page_of,
	.invalidate_page = invalidate_page_of,
	.invalidate_inode = invalidate_inode,
	.invalidate_fs = invalidate_fs,
};

/* A pool that comes up is empty, or holds what it held: the doubt stays until it is emptied. */
static void pool_up(void *ctx, bool kept)
{
}

static const struct tmem_pool_ops pool_ops = { .up = pool_up };

static int __init tmem_cleancache_init(void)
{
	int error;

	pool = tmem_pool_open(TMEM_POOL_CLEANCACHE, 0, &pool_ops, NULL);
	if (IS_ERR(pool))
		return PTR_ERR(pool);
	error = cleancache_register_ops(&ops);
	if (error) {
		pr_err("cleancache has a backend already: error %d\n", error);
		tmem_pool_close(pool);
		return error;
	}
	__module_get(THIS_MODULE); /* cleancache lets nobody go */
	return 0;
}

module_init(tmem_cleancache_init);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Cleancache in the transcendent memory of a Xen host");
