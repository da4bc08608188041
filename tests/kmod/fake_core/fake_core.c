// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tmem_core for tests without Xen: the interface of guest-kmod/core/tmem_core.h over a local store.
 * Answers come later, from a timer, as a daemon's would; they can be made slow, be lost, fail, and
 * the connection can break, all by parameters that are changed at run time.
 *
 * Posts of all keys are run in one order, at the tick after they were taken (a get that is delayed
 * has its page at the tick that runs it, as a request in a ring would).
 * Lock order: a module's locks -> fake_lock. Callbacks run without it.
 */
#define pr_fmt(fmt) "fake_core: " fmt
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "fake_store.h"

#define RING 1024

static unsigned int pages = 102400;
module_param(pages, uint, 0444);
MODULE_PARM_DESC(pages, "capacity of the store");
static unsigned int delay_us = 200;
module_param(delay_us, uint, 0644);
MODULE_PARM_DESC(delay_us, "between runs of what was posted");
static unsigned int put_slots = 96, get_slots = 32;
module_param(put_slots, uint, 0644);
module_param(get_slots, uint, 0644);
MODULE_PARM_DESC(put_slots, "puts that fit between two runs");
MODULE_PARM_DESC(get_slots, "gets that fit; more wait");
static unsigned int lose_percent, fail_percent, refuse_percent, no_flush_percent;
module_param(lose_percent, uint, 0644);
module_param(fail_percent, uint, 0644);
module_param(refuse_percent, uint, 0644);
module_param(no_flush_percent, uint, 0644);
MODULE_PARM_DESC(lose_percent, "gets that are answered -ETIMEDOUT after 100 ms; the page is gone");
MODULE_PARM_DESC(fail_percent, "gets that are answered -EIO at once; the page stays");
MODULE_PARM_DESC(refuse_percent, "puts that are dropped with -ENOSPC");
MODULE_PARM_DESC(no_flush_percent, "flushes that find no room");

struct tmem_pool {
	unsigned int id;
	bool persistent;
	const struct tmem_pool_ops *ops;
	void *ctx;
	bool is_up;
};

/* A post on its way: a put carries its page. */
struct post {
	u8 op;
	struct tmem_pool *pool;
	struct tmem_key key;
	struct tmem_io *io; /* gets, and puts that are answered */
	void *page;	    /* puts */
};

static struct post ring[RING]; /* fake_lock */
static unsigned int head, tail, puts_waiting, gets_waiting;
static void *slots[RING];
static LIST_HEAD(waiting); /* without a slot */
static struct tmem_pool *the_pool;
static struct hrtimer timer;
static bool armed, wants_room; /* fake_lock */
static DEFINE_MUTEX(lifecycle);
struct kobject *tmem_kobj;
EXPORT_SYMBOL_GPL(tmem_kobj);

static bool chance(unsigned int percent)
{
	return percent && get_random_u32() % 100 < percent;
}

static ktime_t delay(void)
{
	return ns_to_ktime(max(READ_ONCE(delay_us), 1u) * (u64)NSEC_PER_USEC);
}

static void arm(void)
{
	if (armed)
		return;
	armed = true;
	hrtimer_start(&timer, delay(), HRTIMER_MODE_REL);
}

static struct post *take_entry(struct tmem_pool *pool, u8 op, const struct tmem_key *key)
{
	struct post *post = head - tail < RING ? &ring[head % RING] : NULL;

	if (!post)
		return NULL;
	*post = (struct post){ .op = op, .pool = pool, .key = *key, .page = slots[head % RING] };
	head++;
	if (op == TMEM_OP_PUT)
		puts_waiting++;
	else if (op == TMEM_OP_GET)
		gets_waiting++;
	arm();
	return post;
}

struct lost {
	struct delayed_work work;
	struct tmem_io *io;
};

static void time_out(struct work_struct *work)
{
	struct lost *lost = container_of(work, struct lost, work.work);

	lost->io->error = -ETIMEDOUT;
	local_bh_disable();
	lost->io->done(lost->io);
	local_bh_enable();
	kfree(lost);
}

/* With fake_lock, which it gives up for callbacks. */
static void run_get(struct post *post, unsigned long *flags)
{
	struct tmem_io *io = post->io;
	const void *page = fake_store_find(post->pool->id, &post->key);
	struct lost *lost = chance(lose_percent) ? kmalloc(sizeof(*lost), GFP_ATOMIC) : NULL;

	io->error = page ? 0 : -ENOENT;
	if (lost) {
		if (!post->pool->persistent)
			fake_store_flush(post->pool->id, &post->key);
		lost->io = io;
		INIT_DELAYED_WORK(&lost->work, time_out);
		schedule_delayed_work(&lost->work, HZ / 10);
		return;
	}
	if (chance(fail_percent)) {
		io->error = -EIO;
	} else if (page) {
		copy_page(page_address(io->page) + io->offset, (void *)page);
		if (!post->pool->persistent)
			fake_store_flush(post->pool->id, &post->key);
	}
	spin_unlock_irqrestore(&fake_lock, *flags);
	io->done(io);
	spin_lock_irqsave(&fake_lock, *flags);
}

/* A page may go where one of the pool is, or where there is room, or, of a cache, in place of others. */
static bool takes(const struct post *post)
{
	return !chance(refuse_percent) &&
	       (!post->pool->persistent || fake_store_pages() < pages ||
		fake_store_find(post->pool->id, &post->key));
}

static void run_put(struct post *post, unsigned long *flags)
{
	struct post copy = *post;
	bool taken = takes(post);

	if (taken)
		fake_store_put(post->pool->id, &post->key, post->page);
	else
		fake_store_flush(post->pool->id, &post->key);
	if (taken && !copy.io)
		return;
	spin_unlock_irqrestore(&fake_lock, *flags);
	if (copy.io) {
		copy.io->error = taken ? 0 : -ENOSPC;
		copy.io->done(copy.io);
	} else if (copy.pool->ops->dropped) {
		copy.pool->ops->dropped(copy.pool->ctx, TMEM_OP_PUT, &copy.key, -ENOSPC);
	}
	spin_lock_irqsave(&fake_lock, *flags);
}

/* -EAGAIN: no slot or ring entry now. */
static int take_io(struct tmem_io *io)
{
	bool put = io->op == TMEM_OP_PUT;
	bool slot = put ? puts_waiting < put_slots : gets_waiting < get_slots;
	struct post *post = slot ? take_entry(io->pool, io->op, &io->key) : NULL;

	if (!post)
		return -EAGAIN;
	post->io = io;
	if (put)
		copy_page(post->page, page_address(io->page) + io->offset);
	return 0;
}

static void admit_waiting(void)
{
	struct tmem_io *io, *next;

	list_for_each_entry_safe(io, next, &waiting, link) {
		if (take_io(io))
			return;
		list_del(&io->link);
	}
}

static enum hrtimer_restart run_posts(struct hrtimer *unused)
{
	unsigned long flags;
	bool more, wanted;

	spin_lock_irqsave(&fake_lock, flags);
	while (tail != head) {
		struct post *post = &ring[tail % RING];

		if (post->op == TMEM_OP_PUT) {
			run_put(post, &flags);
			puts_waiting--;
		} else if (post->op == TMEM_OP_GET) {
			gets_waiting--;
			run_get(post, &flags);
		} else if (post->op == TMEM_OP_FLUSH_PAGE) {
			fake_store_flush(post->pool->id, &post->key);
		} else {
			fake_store_flush_object(post->pool->id, post->key.oid);
		}
		tail++;
	}
	admit_waiting();
	wanted = wants_room && the_pool;
	wants_room = false;
	if (wanted && the_pool->ops->room) {
		spin_unlock_irqrestore(&fake_lock, flags);
		the_pool->ops->room(the_pool->ctx);
		spin_lock_irqsave(&fake_lock, flags);
	}
	more = tail != head;
	if (more)
		hrtimer_forward_now(&timer, delay());
	armed = more;
	spin_unlock_irqrestore(&fake_lock, flags);
	return more ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

int tmem_put_and_forget(struct tmem_pool *pool, const struct tmem_key *key, struct page *page,
			unsigned int offset)
{
	unsigned long flags;
	struct post *post;
	int err = -ENOTCONN;

	spin_lock_irqsave(&fake_lock, flags);
	if (pool->is_up) {
		err = -EAGAIN;
		post = puts_waiting < put_slots ? take_entry(pool, TMEM_OP_PUT, key) : NULL;
		if (post) {
			copy_page(post->page, page_address(page) + offset);
			err = 0;
		}
		wants_room |= err != 0;
	}
	spin_unlock_irqrestore(&fake_lock, flags);
	return err;
}
EXPORT_SYMBOL_GPL(tmem_put_and_forget);

static int take(struct tmem_io *io, u8 op, unsigned int how)
{
	unsigned long flags;
	int err = -ENOTCONN;

	io->op = op;
	spin_lock_irqsave(&fake_lock, flags);
	if (io->pool->is_up)
		err = take_io(io);
	if (err == -EAGAIN && how & TMEM_IO_WAIT) {
		list_add_tail(&io->link, &waiting);
		arm();
		err = 0;
	}
	spin_unlock_irqrestore(&fake_lock, flags);
	return err;
}

int tmem_get(struct tmem_io *io, unsigned int how)
{
	return take(io, TMEM_OP_GET, how);
}
EXPORT_SYMBOL_GPL(tmem_get);

/* There are no credits. */
int tmem_put(struct tmem_io *io, unsigned int how)
{
	return take(io, TMEM_OP_PUT, how);
}
EXPORT_SYMBOL_GPL(tmem_put);

static int post_flush(struct tmem_pool *pool, u8 op, const struct tmem_key *key)
{
	unsigned long flags;
	int err;

	spin_lock_irqsave(&fake_lock, flags);
	if (!pool->is_up)
		err = -ENOTCONN;
	else if (chance(no_flush_percent) || !take_entry(pool, op, key))
		err = -EAGAIN;
	else
		err = 0;
	wants_room |= err != 0;
	if (err == -EAGAIN)
		arm();
	spin_unlock_irqrestore(&fake_lock, flags);
	return err;
}

int tmem_flush_page(struct tmem_pool *pool, const struct tmem_key *key)
{
	return post_flush(pool, TMEM_OP_FLUSH_PAGE, key);
}
EXPORT_SYMBOL_GPL(tmem_flush_page);

int tmem_flush_object(struct tmem_pool *pool, const u64 oid[3])
{
	struct tmem_key key = { .oid = { oid[0], oid[1], oid[2] } };

	return post_flush(pool, TMEM_OP_FLUSH_OBJECT, &key);
}
EXPORT_SYMBOL_GPL(tmem_flush_object);

int tmem_pool_flush(struct tmem_pool *pool)
{
	unsigned long flags;

	mutex_lock(&lifecycle);
	spin_lock_irqsave(&fake_lock, flags);
	fake_store_flush_pool(pool->id);
	spin_unlock_irqrestore(&fake_lock, flags);
	mutex_unlock(&lifecycle);
	return 0;
}
EXPORT_SYMBOL_GPL(tmem_pool_flush);

static void set_up(struct tmem_pool *pool, bool up)
{
	unsigned long flags;

	if (up)
		pool->ops->up(pool->ctx, false);
	spin_lock_irqsave(&fake_lock, flags);
	pool->is_up = up;
	if (!up)
		fake_store_flush_pool(pool->id);
	spin_unlock_irqrestore(&fake_lock, flags);
	if (up && pool->ops->room)
		pool->ops->room(pool->ctx);
}

struct tmem_pool *tmem_pool_open(unsigned int id, u32 flags, const struct tmem_pool_ops *ops,
				 void *ctx)
{
	struct tmem_pool *pool = kzalloc(sizeof(*pool), GFP_KERNEL);

	if (!pool || the_pool) {
		kfree(pool);
		return ERR_PTR(the_pool ? -EBUSY : -ENOMEM);
	}
	pool->id = id;
	pool->persistent = flags & TMEM_POOL_PERSISTENT;
	pool->ops = ops;
	pool->ctx = ctx;
	mutex_lock(&lifecycle);
	the_pool = pool;
	set_up(pool, true);
	mutex_unlock(&lifecycle);
	return pool;
}
EXPORT_SYMBOL_GPL(tmem_pool_open);

void tmem_pool_close(struct tmem_pool *pool)
{
	mutex_lock(&lifecycle);
	set_up(pool, false);
	the_pool = NULL;
	mutex_unlock(&lifecycle);
	hrtimer_cancel(&timer);
	kfree(pool);
}
EXPORT_SYMBOL_GPL(tmem_pool_close);

/* Nobody asks: of the next two. */
void tmem_holds_changed(void)
{
}
EXPORT_SYMBOL_GPL(tmem_holds_changed);

void tmem_pool_cannot_evacuate(struct tmem_pool *pool, const char *why)
{
}
EXPORT_SYMBOL_GPL(tmem_pool_cannot_evacuate);

/* "0": the connection breaks; "1": it is back, with empty pools. */
static int set_connected(const char *text, const struct kernel_param *param)
{
	bool up;
	int err = kstrtobool(text, &up);

	mutex_lock(&lifecycle);
	if (!err && the_pool)
		set_up(the_pool, up);
	mutex_unlock(&lifecycle);
	return err;
}

static int get_held(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%u\n", fake_store_pages());
}

static const struct kernel_param_ops connected_ops = { .set = set_connected };
static const struct kernel_param_ops held_ops = { .get = get_held };
module_param_cb(connected, &connected_ops, NULL, 0200);
module_param_cb(held, &held_ops, NULL, 0444);

static void free_slots(void)
{
	unsigned int i;

	for (i = 0; i < RING; i++)
		free_page((unsigned long)slots[i]);
}

static int __init fake_init(void)
{
	unsigned int i;
	int err = fake_store_init(pages);

	for (i = 0; i < RING && !err; i++) {
		slots[i] = (void *)__get_free_page(GFP_KERNEL);
		err = slots[i] ? 0 : -ENOMEM;
	}
	tmem_kobj = err ? NULL : kobject_create_and_add("tmem", kernel_kobj);
	if (!tmem_kobj) {
		free_slots();
		return err ? err : -ENOMEM;
	}
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer.function = run_posts;
	return 0;
}

static void __exit fake_exit(void)
{
	hrtimer_cancel(&timer);
	kobject_put(tmem_kobj);
	free_slots();
	fake_store_exit();
}

module_init(fake_init);
module_exit(fake_exit);
MODULE_DESCRIPTION("tmem_core for tests without Xen");
MODULE_LICENSE("GPL");
