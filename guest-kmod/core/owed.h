/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flushes that are owed for freed slots, sent in batches. For modules whose pool is a table of
 * slots: a slot is a page of the pool, under tmem_slot_key().
 *
 * A free only sets the slot's pending bit: it happens under locks of the kernel and must not depend
 * on room in the ring. A worker posts the flushes; what finds no room is posted when there is some.
 * Many freed slots are written again before that: then the put takes the bit, and no flush is sent.
 *
 * Lock: a slot's, irqsave, never two. It guards the pending bit and what the owner keeps by slot.
 * Owners post puts, gets and flushes of a slot under it, so that the pool is asked in the order in
 * which the slot changed. The core's locks are taken inside.
 */
#ifndef TMEM_OWED_H
#define TMEM_OWED_H

#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include "tmem_core.h"

#define TMEM_SLOTS_PER_OBJECT 1024u
#define TMEM_SLOT_LOCKS 64u

struct tmem_owed {
	struct tmem_pool *pool;		 /* the owner's; set before the first free */
	struct workqueue_struct *worker; /* the owner's, with a rescuer */
	atomic64_t *sent;		 /* counts flushes */
	u32 slots;
	unsigned long *pending; /* by slot */
	spinlock_t locks[TMEM_SLOT_LOCKS];
	struct delayed_work work;
	bool stuck;    /* the worker found no room */
	bool stopping; /* the worker leaves the pool alone: it may be gone */
};

/* Sleeps. -ENOMEM. */
int tmem_owed_init(struct tmem_owed *owed, u32 slots, atomic64_t *sent);
/* After tmem_owed_stop(), which waits for the worker. */
void tmem_owed_exit(struct tmem_owed *owed);
/* Before the pool is closed, and once more after that: until then, callbacks may owe. */
void tmem_owed_stop(struct tmem_owed *owed);

/* The slot's lock is held. Owe a flush. */
void tmem_owe(struct tmem_owed *owed, u32 slot);
/* The slot's lock is held, a put was posted: a flush would hit the new page. Or: the pool is empty. */
void tmem_owe_not(struct tmem_owed *owed, u32 slot);
/* From tmem_pool_ops.room(). */
void tmem_owed_room(struct tmem_owed *owed);

static inline struct tmem_key tmem_slot_key(u32 slot)
{
	return (struct tmem_key){
		.oid = { 0, slot / TMEM_SLOTS_PER_OBJECT, 0 },
		.index = slot % TMEM_SLOTS_PER_OBJECT,
	};
}

static inline u32 tmem_key_slot(const struct tmem_key *key)
{
	return key->oid[1] * TMEM_SLOTS_PER_OBJECT + key->index;
}

static inline void tmem_slot_lock(struct tmem_owed *owed, u32 slot, unsigned long *flags)
{
	spin_lock_irqsave(&owed->locks[slot % TMEM_SLOT_LOCKS], *flags);
}

static inline void tmem_slot_unlock(struct tmem_owed *owed, u32 slot, unsigned long flags)
{
	spin_unlock_irqrestore(&owed->locks[slot % TMEM_SLOT_LOCKS], flags);
}

#endif /* TMEM_OWED_H */
