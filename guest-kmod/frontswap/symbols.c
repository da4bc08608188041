// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel symbols that are not exported, found by way of a kprobe, which resolves any name.
 *
 * Nothing is used that does not look as expected: functions and tables must begin where their symbol
 * does, swap_info[] must hold areas that know their own index, and frontswap_ops must point to five
 * functions. Else the module does not load.
 *
 * Context: process, at load.
 */
#define pr_fmt(fmt) "tmem_frontswap: " fmt
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include "frontswap.h"

struct frontswap_symbols symbols;

static unsigned long (*lookup)(const char *name);

static int lookup_find(void)
{
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	int error;

	/* Functions that nobody calls by pointer must not be called so. */
	if (IS_ENABLED(CONFIG_X86_KERNEL_IBT))
		return -EOPNOTSUPP;
	error = register_kprobe(&probe);
	if (error)
		return error;
	lookup = (void *)probe.addr;
	unregister_kprobe(&probe);
	return 0;
}

/* Does a symbol begin here? */
static bool is_start(const void *address)
{
	char text[KSYM_SYMBOL_LEN];

	sprint_symbol(text, (unsigned long)address);
	return strstr(text, "+0x0/");
}

static void *find(const char *name)
{
	void *address = (void *)lookup(name);

	if (address && is_start(address))
		return address;
	pr_err("the kernel has no %s\n", name);
	return NULL;
}

static bool swap_info_good(void)
{
	int type;

	for (type = 0; type < MAX_SWAPFILES; type++) {
		const struct swap_info_struct *area = symbols.swap_info[type];

		if (area && area->type != type) {
			pr_err("swap_info[%d] does not look as expected\n", type);
			return false;
		}
	}
	return true;
}

#if TMEM_FRONTSWAP_TAKEN
static bool ops_good(void)
{
	const struct frontswap_ops *ops = *symbols.ops;

	if (!ops || (is_start(ops) && is_start(ops->init) && is_start(ops->store) &&
		     is_start(ops->load) && is_start(ops->invalidate_page) &&
		     is_start(ops->invalidate_area)))
		return true;
	pr_err("frontswap_ops does not look as expected\n");
	return false;
}

static bool hook_symbols_good(void)
{
	symbols.ops = find("frontswap_ops");
	symbols.register_ops = find("frontswap_register_ops");
	return symbols.ops && symbols.register_ops && ops_good();
}
#else
static bool hook_symbols_good(void)
{
	return true;
}
#endif

int symbols_find(void)
{
	int error = lookup_find();

	if (error) {
		pr_err("kernel symbols cannot be looked up: error %d\n", error);
		return error;
	}
	symbols.swap_info = find("swap_info");
	symbols.end_swap_bio_read = find("end_swap_bio_read");
	if (symbols.swap_info && symbols.end_swap_bio_read && swap_info_good() &&
	    hook_symbols_good())
		return 0;
	return -ENXIO;
}
