/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The smallest use of libtmem in C: connect, store a page, get it back.
 *
 *   hello [SOCKET]     exit status 0 when the page came back unchanged
 */
#include <stdio.h>
#include <string.h>

#include "tmem/tmem.h"

static int fail(const char *what, int status)
{
	fprintf(stderr, "%s: %s\n", what, tmem_status_name(status));
	return 1;
}

static int store_and_fetch(struct tmem_client *client)
{
	static unsigned char page[TMEM_PAGE_BYTES];
	static unsigned char back[TMEM_PAGE_BYTES];
	const struct tmem_key key = {.pool = 0, .index = 42, .oid = {1, 2, 3}};
	int status;

	memset(page, 'x', sizeof(page));
	status = tmem_put(client, &key, page);
	if (status != TMEM_OK)
		return fail("put", status); /* a put may always be refused */

	status = tmem_get(client, &key, back);
	if (status != TMEM_OK)
		return fail("get", status); /* an ephemeral page may be gone */
	if (memcmp(page, back, sizeof(page)) != 0)
		return fail("compare", TMEM_BAD_REQUEST);

	/* A hit in a private ephemeral pool took the page out. */
	status = tmem_get(client, &key, back);
	if (status != TMEM_MISS)
		return fail("second get", status);
	return 0;
}

int main(int argc, char **argv)
{
	struct tmem_connect_options options = {.name = "hello"};
	struct tmem_client *client;
	char reason[128];
	int status;

	if (argc > 1)
		options.socket_path = argv[1];
	status = tmem_connect(&options, &client, reason, sizeof(reason));
	if (status != 0) {
		fprintf(stderr, "connect: %s (%s)\n", reason, tmem_status_name(status));
		return 1;
	}
	status = tmem_pool_create(client, 0, 0, NULL); /* private, ephemeral */
	if (status == TMEM_OK)
		status = store_and_fetch(client);
	else
		status = fail("pool create", status);
	tmem_disconnect(client);
	if (status == 0)
		printf("one page went to tmemd and came back\n");
	return status;
}
