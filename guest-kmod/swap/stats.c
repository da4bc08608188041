// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kernel/tmem/swap: one value a file, described in README.md. */
#include "counters.h"
#include "swap.h"

static const char *const names[SWAP_STATS] = {
	[SWAP_WRITES] = "writes",
	[SWAP_WRITES_POOL] = "writes_pool",
	[SWAP_WRITES_EARLY] = "writes_early",
	[SWAP_WRITES_DISK] = "writes_disk",
	[SWAP_WRITE_ERRORS] = "write_errors",
	[SWAP_READS] = "reads",
	[SWAP_READS_POOL] = "reads_pool",
	[SWAP_READS_STAGED] = "reads_staged",
	[SWAP_READS_DISK] = "reads_disk",
	[SWAP_READS_EMPTY] = "reads_empty",
	[SWAP_READ_ERRORS] = "read_errors",
	[SWAP_LOST] = "lost",
	[SWAP_FREES] = "frees",
	[SWAP_FLUSHES] = "flushes",
	[SWAP_EVACUATED] = "evacuated",
	[SWAP_WRITTEN_BACK] = "written_back",
	[SWAP_POOL_PAGES] = "pool_pages",
	[SWAP_DISK_PAGES] = "disk_pages",
	[SWAP_HELD] = "held_pages",
};

static struct tmem_counters counters = {
	.folder = "swap",
	.names = names,
	.values = swap.stats,
	.count = SWAP_STATS,
};

int swap_stats_init(void)
{
	return tmem_counters_add(&counters);
}

void swap_stats_exit(void)
{
	tmem_counters_remove(&counters);
}
