// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kernel/tmem/frontswap: one value a file, described in README.md. */
#include "counters.h"
#include "frontswap.h"

static const char *const names[FRONTSWAP_STATS] = {
	[FRONTSWAP_STORES] = "stores",
	[FRONTSWAP_STORES_POOL] = "stores_pool",
	[FRONTSWAP_STORES_REFUSED] = "stores_refused",
	[FRONTSWAP_STORES_FAILED] = "stores_failed",
	[FRONTSWAP_STORES_PASSED] = "stores_passed",
	[FRONTSWAP_LOADS] = "loads",
	[FRONTSWAP_LOADS_POOL] = "loads_pool",
	[FRONTSWAP_LOADS_FAILED] = "load_errors",
	[FRONTSWAP_LOADS_GUARDED] = "reads_guarded",
	[FRONTSWAP_LOST] = "lost",
	[FRONTSWAP_FREES] = "frees",
	[FRONTSWAP_FLUSHES] = "flushes",
	[FRONTSWAP_POOL_PAGES] = "pool_pages",
};

static struct tmem_counters counters = {
	.folder = "frontswap",
	.names = names,
	.values = frontswap.stats,
	.count = FRONTSWAP_STATS,
};

int frontswap_stats_init(void)
{
	return tmem_counters_add(&counters);
}

void frontswap_stats_exit(void)
{
	tmem_counters_remove(&counters);
}
