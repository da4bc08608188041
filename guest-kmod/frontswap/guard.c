// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is in the pool is never read from the disk.
 *
 * Frontswap has no way to say that a load failed: the kernel then reads the disk, where an older
 * page is, or another's. So the reads of swap are watched where they are submitted: a read of a slot
 * that is ours ends with an I/O error instead, after which the page is not up to date, and who
 * needs it gets SIGBUS. swapoff leaves a mark in its place that does the same from 5.19 on; before,
 * unuse_pte() maps such a page as it is, with whatever was in that memory.
 *
 * ftrace calls look() at the entry of submit_bio(). No other user of FTRACE_OPS_FL_IPMODIFY may
 * have the function (live patches: -EBUSY); PERMANENT: kernel.ftrace_enabled=0 is refused while we
 * are here.
 *
 * Context of look(): where bios are submitted; it looks at the bio and at one byte of ours. The
 * page is locked, so its slot does not change meanwhile.
 */
#define pr_fmt(fmt) "tmem_frontswap: " fmt
#include <linux/bio.h>
#include <linux/completion.h>
#include <linux/ftrace.h>
#include <linux/module.h>
#include "frontswap.h"

#define CALL_OPCODE 0xe8

static struct bio *test; /* fails whatever it is */

#ifdef TMEM_FAULTS
static bool fault_no_guard;
module_param(fault_no_guard, bool, 0644);
MODULE_PARM_DESC(fault_no_guard, "Read the disk after all: for tests of the tests");
#else
static const bool fault_no_guard;
#endif

static bool reads_what_is_ours(const struct bio *bio)
{
	swp_entry_t entry;
	u32 slot;

	if (bio->bi_end_io != symbols.end_swap_bio_read || !bio->bi_vcnt)
		return false;
	entry.val = page_private(bio->bi_io_vec[0].bv_page);
	if (swp_type(entry) >= MAX_SWAPFILES)
		return false;
	slot = area_slot(swp_type(entry), swp_offset(entry));
	return slot != NO_SLOT && page_is_ours(slot);
}

static tmem_submit_result fail_bio(struct bio *bio)
{
	if (bio != test)
		frontswap_count(FRONTSWAP_LOADS_GUARDED);
	bio_io_error(bio);
	return TMEM_SUBMIT_RESULT;
}

static void notrace look(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			 tmem_ftrace_regs *ftrace_regs)
{
	struct pt_regs *regs = tmem_ftrace_pt_regs(ftrace_regs);
	struct bio *bio = (struct bio *)regs->di;

	if ((reads_what_is_ours(bio) && !READ_ONCE(fault_no_guard)) ||
	    unlikely(bio == READ_ONCE(test)))
		regs->ip = (unsigned long)fail_bio;
}

static struct ftrace_ops hook = {
	.func = look,
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT |
		 TMEM_FTRACE_RECURSION,
};

static void test_done(struct bio *bio)
{
	complete(bio->bi_private);
}

/* A read without a device: nothing but the guard can end it. */
static bool works(void)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct bio bio = { .bi_opf = REQ_OP_READ, .bi_end_io = test_done, .bi_private = &done };

	if (*(const u8 *)submit_bio != CALL_OPCODE)
		return false; /* ftrace put no call there */
	atomic_set(&bio.__bi_remaining, 1);
	WRITE_ONCE(test, &bio);
	submit_bio(&bio);
	wait_for_completion(&done);
	WRITE_ONCE(test, NULL);
	return bio.bi_status == BLK_STS_IOERR;
}

void guard_remove(void)
{
	unregister_ftrace_function(&hook);
}

int guard_install(void)
{
	int error = ftrace_set_filter_ip(&hook, (unsigned long)submit_bio, 0, 0);

	if (!error)
		error = register_ftrace_function(&hook);
	if (!error && !works()) {
		guard_remove();
		error = -ENXIO;
	}
	if (error)
		pr_err("reads of swap cannot be guarded: error %d\n", error);
	return error;
}
