/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A module's counters below /sys/kernel/tmem: a folder, one value a file.
 *
 * Context: process, at load and unload.
 */
#ifndef TMEM_COUNTERS_H
#define TMEM_COUNTERS_H

#include <linux/atomic.h>
#include <linux/sysfs.h>

/* Filled in by the module, which keeps it, the names and the values until tmem_counters_remove(). */
struct tmem_counters {
	const char *folder;
	const char *const *names;
	const atomic64_t *values;
	unsigned int count;

	/* Of counters.c. */
	struct tmem_counter *files;
	struct attribute_group group;
};

/* Sleeps. -ENOMEM, or as sysfs says. */
int tmem_counters_add(struct tmem_counters *counters);
void tmem_counters_remove(struct tmem_counters *counters);

#endif /* TMEM_COUNTERS_H */
