// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest says about its being saved or migrated: keys of the frontend.
 *
 * Context: the worker, lifecycle held.
 */
#include "core.h"

/* False: xenstore does not have all of it. */
bool tmem_publish_migration(void)
{
	const char *node = tmem.device->nodename;
	int can = !tmem_pools_hold();
	const char *why = READ_ONCE(tmem.evacuate_error);
	int error = 0;

	if (why != tmem.published_error) {
		error = why ? xenbus_printf(XBT_NIL, node, "evacuate-error", "%s", why) :
			      xenbus_rm(XBT_NIL, node, "evacuate-error");
		if (!error || error == -ENOENT)
			tmem.published_error = why;
	}
	if (can != tmem.published_migrate &&
	    !xenbus_printf(XBT_NIL, node, "can-migrate", "%d", can))
		tmem.published_migrate = can;
	return why == tmem.published_error && can == tmem.published_migrate;
}

/*
 * Says 1 after new puts are refused and the above is there, and 0 before they are taken again; where
 * it cannot be done they already are, and the error is there before.
 */
void tmem_publish_evacuating(void)
{
	int does = tmem.evacuate && !READ_ONCE(tmem.evacuate_error);

	if (does != tmem.published_evacuating &&
	    !xenbus_printf(XBT_NIL, tmem.device->nodename, "evacuating", "%d", does))
		tmem.published_evacuating = does;
}
