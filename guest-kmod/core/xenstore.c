// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading xenstore, so that what cannot be read just now is not taken for what is not there.
 *
 * Context: the worker, with lifecycle; tmem_read_backend(): the xenbus driver. Sleep.
 */
#include "core.h"

/* -ENOENT: it is not there. Other errors say nothing about it. */
static int read_number(const char *folder, const char *key, unsigned int *value)
{
	int got = xenbus_scanf(XBT_NIL, folder, key, "%u", value);

	return got == 1 ? 0 : got;
}

int tmem_read_state(const char *folder, enum xenbus_state *state)
{
	unsigned int value = XenbusStateUnknown;
	int error = read_number(folder, "state", &value);

	*state = value;
	/* A guest is not told that a folder is missing where it may not read what is above. */
	return error == -ENOENT || error == -EACCES ? 0 : error;
}

int tmem_read_offer(const char *key, u32 absent, u32 *value)
{
	int error = read_number(tmem.device->otherend, key, value);

	if (error != -ENOENT)
		return error;
	*value = absent;
	return 0;
}

int tmem_read_evacuate(bool *evacuate)
{
	u32 value;
	int error = tmem_read_offer("evacuate", 0, &value);

	if (!error)
		*evacuate = value;
	return error;
}

/*
 * A restored guest may look for its backend before the daemon has seen the new domain. The path is
 * known all the same; the watch on it tells when it appears.
 */
int tmem_read_backend(struct xenbus_device *device)
{
	unsigned int domain;
	char *path;
	int backend;

	if (xenbus_gather(XBT_NIL, device->nodename, "backend-id", "%i", &backend, "backend", NULL,
			  &path, NULL)) {
		if (xenbus_scanf(XBT_NIL, "domid", "", "%u", &domain) != 1)
			return -ENOENT;
		backend = 0;
		path = kasprintf(GFP_NOIO, "/local/domain/0/backend/tmem/%u/0", domain);
		if (!path)
			return -ENOMEM;
	}
	device->otherend = path;
	device->otherend_id = backend;
	return 0;
}
