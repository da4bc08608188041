/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of a real tmemd for the CLI tests: puts pages, says "ready", and stays connected until
 * its standard input closes.
 *
 *   loopback_guest SOCKET NAME EPHEMERAL PERSISTENT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tmem/tmem.h"

static int put_pages(struct tmem_client *client, uint32_t pool, uint32_t flags, unsigned pages)
{
	unsigned char page[4096] = {1};
	struct tmem_key key = {.pool = pool, .oid = {1, 2, 3}};

	if (tmem_pool_create(client, pool, flags, NULL) != TMEM_OK)
		return -1;
	for (; key.index < pages; ++key.index) {
		memcpy(page + 64, &key, sizeof(key));
		if (tmem_put(client, &key, page) != TMEM_OK)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct tmem_connect_options options = {0};
	struct tmem_client *client = NULL;
	char reason[128] = "";

	if (argc != 5)
		return 2;
	options.socket_path = argv[1];
	options.name = argv[2];
	if (tmem_connect(&options, &client, reason, sizeof(reason)) != 0) {
		fprintf(stderr, "loopback_guest: %s\n", reason);
		return 1;
	}
	if (put_pages(client, 0, 0, (unsigned)atoi(argv[3])) != 0 ||
	    put_pages(client, 1, TMEM_POOL_PERSISTENT, (unsigned)atoi(argv[4])) != 0) {
		fprintf(stderr, "loopback_guest: a page was refused\n");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		continue;
	tmem_disconnect(client);
	return 0;
}
