/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a toolstack does before it builds a guest: make room, build, say that it is done.
 *
 *   room SIZE_MIB [CONTROL_SOCKET]     exit status 0 when a guest of this size can be started
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tmem/host.h"

int main(int argc, char **argv)
{
	const char *socket = argc > 2 ? argv[2] : NULL;
	const uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 0) << 20;
	struct tmem_room room;
	int status = tmem_make_room(socket, bytes, 60000, &room);

	/* Without a pool, or with one of dom0's own memory, the guest starts as ever. */
	if (status == -ENOTCONN || status == -EOPNOTSUPP) {
		printf("no room to make: %s\n", room.reason);
		return 0;
	}
	if (status != 0) {
		fprintf(stderr, "%s\n", room.reason);
		return 1;
	}
	printf("%llu MiB are free\n", (unsigned long long)(room.free_bytes >> 20));
	/* ... build the guest here ... */
	tmem_cancel_room(socket);
	return 0;
}
