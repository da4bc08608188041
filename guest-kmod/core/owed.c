// SPDX-License-Identifier: GPL-2.0-only
/* Flushes that are owed for freed slots: see owed.h. */
#include <linux/export.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>
#include "owed.h"

#define BATCH_MS 4

static void owed_run(struct work_struct *work)
{
	struct tmem_owed *owed = container_of(work, struct tmem_owed, work.work);
	unsigned long slot, flags;
	int error = 0;

	if (READ_ONCE(owed->stopping))
		return;
	for_each_set_bit(slot, owed->pending, owed->slots) {
		struct tmem_key key = tmem_slot_key(slot);

		tmem_slot_lock(owed, slot, &flags);
		if (test_bit(slot, owed->pending)) {
			WRITE_ONCE(owed->stuck, true); /* before the core may say "room" */
			error = tmem_flush_page(owed->pool, &key);
			if (!error) {
				clear_bit(slot, owed->pending);
				atomic64_inc(owed->sent);
			}
		}
		tmem_slot_unlock(owed, slot, flags);
		if (error)
			return; /* tmem_owed_room() calls again */
		cond_resched();
	}
	WRITE_ONCE(owed->stuck, false);
}

int tmem_owed_init(struct tmem_owed *owed, u32 slots, atomic64_t *sent)
{
	unsigned int i;

	owed->slots = slots;
	owed->sent = sent;
	for (i = 0; i < TMEM_SLOT_LOCKS; i++)
		spin_lock_init(&owed->locks[i]);
	INIT_DELAYED_WORK(&owed->work, owed_run);
	owed->pending = vzalloc(BITS_TO_LONGS(slots) * sizeof(long));
	return owed->pending ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_GPL(tmem_owed_init);

void tmem_owed_exit(struct tmem_owed *owed)
{
	vfree(owed->pending);
}
EXPORT_SYMBOL_GPL(tmem_owed_exit);

void tmem_owed_stop(struct tmem_owed *owed)
{
	WRITE_ONCE(owed->stopping, true);
	cancel_delayed_work_sync(&owed->work);
}
EXPORT_SYMBOL_GPL(tmem_owed_stop);

void tmem_owe(struct tmem_owed *owed, u32 slot)
{
	set_bit(slot, owed->pending);
	queue_delayed_work(owed->worker, &owed->work, msecs_to_jiffies(BATCH_MS));
}
EXPORT_SYMBOL_GPL(tmem_owe);

void tmem_owe_not(struct tmem_owed *owed, u32 slot)
{
	clear_bit(slot, owed->pending);
}
EXPORT_SYMBOL_GPL(tmem_owe_not);

void tmem_owed_room(struct tmem_owed *owed)
{
	if (xchg(&owed->stuck, false))
		mod_delayed_work(owed->worker, &owed->work, 0);
}
EXPORT_SYMBOL_GPL(tmem_owed_room);
