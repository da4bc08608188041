// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that have been in the pool for long go to the backing disk, as long as the daemon asks for
 * it: they take the room of those that are swapped out now, and wanted sooner.
 *
 * All slots whose page is in the pool are marked. Half a minute later the worker takes those that
 * still are, by their number, as many a second as were asked for, until none is left; then it marks
 * anew. A put or a get of a slot takes its mark away. A page moves as in an evacuation.
 *
 * Context: process, one worker, which waits as that of evacuate.c does. Marks: bit operations, any
 * context.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/wait_bit.h>
#include "swap.h"

#define AGE_MS 30000
#define TURN_MS 250

static unsigned int write_back_mb = 16;
module_param(write_back_mb, uint, 0644);
MODULE_PARM_DESC(write_back_mb,
		 "MiB a second at most that go from the pool to the backing disk when dom0 asks for it, 0: none (default 16)");

static unsigned int pages_a_turn(void)
{
	u64 kib_s = min_t(u64, READ_ONCE(swap.write_back_kib_s),
			  (u64)READ_ONCE(write_back_mb) << 10);

	return DIV_ROUND_UP_ULL(kib_s * TURN_MS, (PAGE_SIZE >> 10) * MSEC_PER_SEC);
}

static void write_back_later(unsigned int delay_ms)
{
	queue_delayed_work(system_unbound_wq, &swap.write_back_work, msecs_to_jiffies(delay_ms));
}

static void mark_all(void)
{
	u32 slot;

	for (slot = 1; slot < swap.slots; slot++) {
		if (READ_ONCE(swap.state[slot]) == SLOT_POOL)
			set_bit(slot, swap.marked);
		cond_resched();
	}
	swap.marked_at = jiffies;
	swap.marked_next = 1;
}

static bool goes_on(void)
{
	return READ_ONCE(swap.write_back_kib_s) && !READ_ONCE(swap.evacuating) &&
	       !READ_ONCE(swap.evacuate_failed);
}

static void take_marked(unsigned int pages)
{
	unsigned long slot;

	for (; pages; pages--) {
		wait_var_event(&swap.evacuations, atomic_read(&swap.evacuations) < AT_ONCE);
		if (!goes_on())
			break;
		slot = find_next_bit(swap.marked, swap.slots, swap.marked_next);
		swap.marked_next = slot;
		if (slot >= swap.slots || !evacuate_slot(slot))
			break;
		swap.marked_next++;
	}
	wait_var_event(&swap.evacuations, !atomic_read(&swap.evacuations));
}

void write_back_run(struct work_struct *work)
{
	unsigned long due = swap.marked_at + msecs_to_jiffies(AGE_MS);

	if (READ_ONCE(swap.evacuating) || !READ_ONCE(swap.write_back_kib_s))
		return; /* asked again when that changes */
	if (!swap.marked_next) {
		mark_all();
	} else if (time_after_eq(jiffies, due)) {
		WRITE_ONCE(swap.evacuate_failed, false);
		take_marked(pages_a_turn());
		/* The disk or the daemon has trouble: not before the next half minute. */
		if (READ_ONCE(swap.evacuate_failed))
			swap.marked_at = jiffies;
		else if (swap.marked_next >= swap.slots)
			mark_all();
	}
	write_back_later(TURN_MS);
}

/* Told by the core. */
void write_back_set(void *ctx, u32 kib_s)
{
	WRITE_ONCE(swap.write_back_kib_s, kib_s);
	if (kib_s)
		write_back_later(0);
}

/* Until the core asks again. */
void write_back_stop(void)
{
	write_back_set(&swap, 0);
	cancel_delayed_work_sync(&swap.write_back_work);
}
