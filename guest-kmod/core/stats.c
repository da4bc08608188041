// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/tmem: one value a file. The names are an interface, described in README.md.
 */
#include <linux/slab.h>
#include <linux/sysfs.h>
#include "core.h"

struct kobject *tmem_kobj;
EXPORT_SYMBOL_GPL(tmem_kobj);

/* Without lifecycle: who holds it may wait for xenstored, and who reads this shall not. */
static ssize_t state_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct tmem_queue *queue = &tmem.queues[0];
	const char *state = "no-device";
	unsigned long irq;

	spin_lock_irqsave(&queue->lock, irq);
	if (queue->ring)
		state = READ_ONCE(queue->ring->control->served) ? "connected" : "daemon-gone";
	else if (READ_ONCE(tmem.device))
		state = READ_ONCE(tmem.ring_count) ? "connecting" : "disconnected";
	spin_unlock_irqrestore(&queue->lock, irq);
	return sysfs_emit(buf, "%s\n", state);
}

static ssize_t epoch_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%016llx\n", tmem.epoch);
}

static ssize_t queues_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", tmem.serving ? tmem.ring_count : 0);
}

static ssize_t credits_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	unsigned long irq;
	u32 left = 0;

	spin_lock_irqsave(&tmem.credit_lock, irq);
	if (tmem.credits)
		left = READ_ONCE(tmem.credits->credits_granted) - tmem.credits_used;
	spin_unlock_irqrestore(&tmem.credit_lock, irq);
	return sysfs_emit(buf, "%u\n", left);
}

static ssize_t evacuate_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", tmem.evacuate);
}

static struct kobj_attribute plain[] = {
	__ATTR_RO(state), __ATTR_RO(epoch), __ATTR_RO(queues), __ATTR_RO(credits),
	__ATTR_RO(evacuate),
};

static const char *const core_names[CORE_STATS] = {
	[CORE_CONNECTS] = "connects",
	[CORE_EPOCHS] = "epochs_lost",
	[CORE_ABANDONED] = "rings_abandoned",
	[CORE_LEAKED_PAGES] = "pages_still_mapped",
	[CORE_EVENTS_SENT] = "events_sent",
	[CORE_EVENTS_RECEIVED] = "events_received",
	[CORE_REQUESTS] = "requests",
};

static const char *const pool_names[POOL_STATS] = {
	[STAT_PUT_OK] = "put_ok",
	[STAT_PUT_NO_SPACE] = "put_no_space",
	[STAT_PUT_FROZEN] = "put_frozen",
	[STAT_PUT_CREDITED] = "put_credited",
	[STAT_GET_OK] = "get_ok",
	[STAT_GET_MISS] = "get_miss",
	[STAT_FLUSH_OK] = "flush_ok",
	[STAT_FLUSH_MISS] = "flush_miss",
	[STAT_FLUSH_OBJECT] = "flush_object",
	[STAT_STALE] = "stale_epoch",
	[STAT_FAILED] = "failed",
	[STAT_TIMED_OUT] = "timed_out",
	[STAT_LOST] = "unanswered",
	[STAT_NO_ROOM] = "no_room",
	[STAT_WAITED] = "waited",
};

static struct kobj_attribute core_attributes[CORE_STATS];
static struct kobj_attribute pool_attributes[POOL_STATS];
static struct attribute *core_list[ARRAY_SIZE(plain) + CORE_STATS + 1];
static struct attribute *pool_attrs[POOL_STATS + 1];
static const struct attribute_group core_group = { .attrs = core_list };
ATTRIBUTE_GROUPS(pool);

static ssize_t core_stat_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lld\n",
			  (s64)atomic64_read(&tmem.stats[attr - core_attributes]));
}

static ssize_t pool_stat_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct tmem_pool *pool = container_of(kobj, struct tmem_pool, kobj);

	return sysfs_emit(buf, "%lld\n",
			  (s64)atomic64_read(&pool->stats[attr - pool_attributes]));
}

static void pool_free(struct kobject *kobj)
{
	kfree(container_of(kobj, struct tmem_pool, kobj));
}

static struct kobj_type pool_type = {
	.release = pool_free,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = pool_groups,
};

/* Frees the pool when it fails. */
int tmem_pool_stats_add(struct tmem_pool *pool)
{
	int error;

	error = kobject_init_and_add(&pool->kobj, &pool_type, tmem_kobj, "pool%u", pool->id);
	if (error)
		kobject_put(&pool->kobj);
	return error;
}

static struct attribute *attribute(struct kobj_attribute *attr, const char *name,
				   ssize_t (*show)(struct kobject *, struct kobj_attribute *,
						   char *))
{
	sysfs_attr_init(&attr->attr);
	attr->attr.name = name;
	attr->attr.mode = 0444;
	attr->show = show;
	return &attr->attr;
}

int tmem_stats_init(void)
{
	int i, n = 0, error;

	for (i = 0; i < ARRAY_SIZE(plain); i++)
		core_list[n++] = &plain[i].attr;
	for (i = 0; i < CORE_STATS; i++)
		core_list[n++] = attribute(&core_attributes[i], core_names[i], core_stat_show);
	for (i = 0; i < POOL_STATS; i++)
		pool_attrs[i] = attribute(&pool_attributes[i], pool_names[i], pool_stat_show);

	tmem_kobj = kobject_create_and_add("tmem", kernel_kobj);
	if (!tmem_kobj)
		return -ENOMEM;
	error = sysfs_create_group(tmem_kobj, &core_group);
	if (error)
		kobject_put(tmem_kobj);
	return error;
}

void tmem_stats_exit(void)
{
	kobject_put(tmem_kobj);
}
