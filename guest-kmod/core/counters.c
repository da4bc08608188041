// SPDX-License-Identifier: GPL-2.0-only
/* A module's counters as files: see counters.h. */
#include <linux/export.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include "counters.h"
#include "tmem_core.h"

struct tmem_counter {
	struct kobj_attribute file;
	const atomic64_t *value;
};

static ssize_t show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct tmem_counter *counter = container_of(attr, struct tmem_counter, file);

	return sysfs_emit(buf, "%lld\n", (s64)atomic64_read(counter->value));
}

static void counters_free(struct tmem_counters *counters)
{
	kfree(counters->group.attrs);
	kfree(counters->files);
}

int tmem_counters_add(struct tmem_counters *counters)
{
	unsigned int i;
	int error;

	counters->files = kcalloc(counters->count, sizeof(*counters->files), GFP_KERNEL);
	counters->group.attrs =
		kcalloc(counters->count + 1, sizeof(*counters->group.attrs), GFP_KERNEL);
	counters->group.name = counters->folder;
	error = -ENOMEM;
	if (!counters->files || !counters->group.attrs)
		goto out;
	for (i = 0; i < counters->count; i++) {
		struct tmem_counter *counter = &counters->files[i];

		sysfs_attr_init(&counter->file.attr);
		counter->file.attr.name = counters->names[i];
		counter->file.attr.mode = 0444;
		counter->file.show = show;
		counter->value = &counters->values[i];
		counters->group.attrs[i] = &counter->file.attr;
	}
	error = sysfs_create_group(tmem_kobj, &counters->group);
	if (!error)
		return 0;
out:
	counters_free(counters);
	return error;
}
EXPORT_SYMBOL_GPL(tmem_counters_add);

void tmem_counters_remove(struct tmem_counters *counters)
{
	sysfs_remove_group(tmem_kobj, &counters->group);
	counters_free(counters);
}
EXPORT_SYMBOL_GPL(tmem_counters_remove);
