// SPDX-License-Identifier: GPL-2.0-only
/* tmem_core: the guest's end of tmemd's ring protocol. Parameters, start and end of the module. */
#include <linux/module.h>
#include <xen/xen.h>
#include "core.h"

struct tmem_core tmem;

unsigned int tmem_queues_wanted;
module_param_named(queues, tmem_queues_wanted, uint, 0444);
MODULE_PARM_DESC(queues, "Queues at most, 1 to 8; 0: one for each CPU (default 0)");

unsigned int tmem_ring_order = TMEM_RING_ORDER_DEFAULT;
module_param_named(ring_order, tmem_ring_order, uint, 0444);
MODULE_PARM_DESC(ring_order, "Pages of a ring as a power of two, 1 to 6 (default 3)");

unsigned int tmem_slots = TMEM_SLOTS_DEFAULT;
module_param_named(slots, tmem_slots, uint, 0444);
MODULE_PARM_DESC(slots, "Pages shared with tmemd for data, per queue, 8 to 1024 (default 256)");

unsigned int tmem_ephemeral_get_ms = 100;
module_param_named(ephemeral_get_ms, tmem_ephemeral_get_ms, uint, 0644);
MODULE_PARM_DESC(ephemeral_get_ms,
		 "Milliseconds until a read of the cache goes to the disk instead (default 100)");

unsigned int tmem_put_ms = 1000;
module_param_named(put_ms, tmem_put_ms, uint, 0644);
MODULE_PARM_DESC(put_ms,
		 "Milliseconds until a page that was to be put goes elsewhere (default 1000)");

unsigned int tmem_persistent_get_ms = 60000;
module_param_named(persistent_get_ms, tmem_persistent_get_ms, uint, 0644);
MODULE_PARM_DESC(persistent_get_ms,
		 "Milliseconds until a read of swap becomes an I/O error (default 60000)");

unsigned int tmem_silent_ms = 30000;
module_param_named(silent_ms, tmem_silent_ms, uint, 0644);
MODULE_PARM_DESC(silent_ms,
		 "Milliseconds without any answer until the connection is given up (default 30000)");

static int __init tmem_core_init(void)
{
	unsigned int i;
	int error;

	if (!xen_domain())
		return -ENODEV;
	tmem_ring_order = clamp_t(u32, tmem_ring_order, TMEM_RING_ORDER_MIN, TMEM_RING_ORDER_MAX);
	tmem_slots = clamp_t(u32, tmem_slots, TMEM_SLOTS_MIN, TMEM_PAGE_BYTES / sizeof(u32));
	mutex_init(&tmem.lifecycle);
	spin_lock_init(&tmem.credit_lock);
	init_waitqueue_head(&tmem.drained);
	tmem.queue_count = 1;
	for (i = 0; i < TMEM_QUEUES_MAX; i++)
		tmem_queue_init(&tmem.queues[i], i);
	error = tmem_stats_init();
	if (error)
		return error;
	error = tmem_frontend_register();
	if (error)
		tmem_stats_exit();
	return error;
}

static void __exit tmem_core_exit(void)
{
	unsigned int i;

	tmem_frontend_unregister();
	for (i = 0; i < TMEM_QUEUES_MAX; i++)
		tmem_queue_exit(&tmem.queues[i]);
	tmem_spare_free();
	tmem_stats_exit();
}

module_init(tmem_core_init);
module_exit(tmem_core_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Transcendent memory of a Xen host: connection to tmemd");
MODULE_ALIAS("xen:tmem");
