// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hook: ftrace redirects submit_bio_noacct(), through which every bio passes, for disks in use.
 * Calls from this module's own text (cache_pass()) reach the original; that is why the folder is
 * compiled without sibling calls. No other user of FTRACE_OPS_FL_IPMODIFY may have the function
 * (live patches: -EBUSY); PERMANENT: kernel.ftrace_enabled=0 is refused while we are here.
 *
 * A bio that does not come by (inlined, or a kernel's new way) would mean old data. The tracepoint
 * block_bio_queue sees each that reaches a queue for the first time: a write there that is not ours
 * is invalidated on the spot, and the disk's cache goes off. Not traced again are bios that carry
 * BIO_TRACE_COMPLETION: the remainder of a split, and what a stacking driver passes on without a
 * clone. Those the hook alone sees.
 *
 * The hook is never removed: a task may sleep inside it. It passes what is not enabled. The module
 * stays since the probes were registered, which is before this.
 * Context: where bios are submitted.
 */
#define pr_fmt(fmt) "tmem_cache: " fmt
#include <linux/ftrace.h>
#include <linux/module.h>
#include "cache.h"

noinline void cache_pass(struct bio *bio)
{
	submit_bio_noacct(bio);
}

static void hooked_submit(struct bio *bio)
{
	struct cache_disk *disk = cache_disk_get(bio->bi_bdev->bd_disk);

	if (!disk || unlikely(cache_owner(bio) == disk)) {
		if (disk)
			percpu_ref_put(&disk->users);
		cache_pass(bio);
		return;
	}
	if (unlikely(bio == READ_ONCE(disk->probe)))
		disk->probe_seen |= CACHE_PROBE_HOOKED;
	cache_submit(disk, bio);
}

static void notrace redirect(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			     struct ftrace_regs *regs)
{
	if (!within_module(parent_ip, THIS_MODULE) && !cache_fault(blind_hook))
		ftrace_get_regs(regs)->ip = (unsigned long)hooked_submit;
}

static struct ftrace_ops hook = {
	.func = redirect,
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_RECURSION |
		 FTRACE_OPS_FL_PERMANENT,
};

/* Once; the caller serialises. */
int cache_hook_install(void)
{
	static bool installed;
	int err;

	if (installed)
		return 0;
	err = ftrace_set_filter_ip(&hook, (unsigned long)submit_bio_noacct, 0, 0);
	if (!err)
		err = register_ftrace_function(&hook);
	if (err)
		pr_err("submit_bio_noacct cannot be hooked: error %d\n", err);
	installed = !err;
	return err;
}

/* The tracepoint block_bio_queue: preemption is disabled. */
void cache_probe_queue(void *data, struct bio *bio)
{
	struct cache_disk *disk = cache_disk_of(bio->bi_bdev->bd_disk);
	u64 sector;

	if (!disk || disk->is_target)
		return;
	if (unlikely(bio == READ_ONCE(disk->probe)))
		disk->probe_seen |= CACHE_PROBE_TRACED;
	if (!op_is_write(bio_op(bio)) || !bio_sectors(bio) || READ_ONCE(disk->state) == CACHE_OFF)
		return;
	cache_count(disk, writes_traced, 1);
	if (likely(cache_owner(bio) == disk))
		return;
	sector = cache_sector(disk, bio);
	cache_index_invalidate(disk, sector / CACHE_BLOCK_SECTORS,
			       bio_sectors(bio) / CACHE_BLOCK_SECTORS + 2);
	cache_count(disk, writes_missed, 1);
	/* Writes from before the hook are expected while it starts, and then waited for. */
	if (READ_ONCE(disk->state) != CACHE_STARTING)
		cache_disk_off(disk, "a write was missed");
}
