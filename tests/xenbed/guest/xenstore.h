// SPDX-License-Identifier: GPL-2.0-or-later
// Writes xenstore nodes without starting a program for each, which takes an emulated guest long.
// The wire format is that of xen/include/public/io/xs_wire.h.
#ifndef TESTS_XENBED_GUEST_XENSTORE_H
#define TESTS_XENBED_GUEST_XENSTORE_H

#include <stddef.h>
#include <unistd.h>

#include "common.h"

enum { XENSTORE_WRITE = 11, XENSTORE_PAYLOAD_MAX = 4096 };

typedef struct {
  uint32_t type, request, transaction, payload_bytes;
  char payload[XENSTORE_PAYLOAD_MAX];
} XenstoreMessage;

static inline void xenstore_read(int device, void* to, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t more = read(device, (char*)to + done, bytes - done);
    if (more == 0) errno = EPIPE;
    if (more <= 0 && errno != EINTR) die("xenstore: read");
    if (more > 0) done += (size_t)more;
  }
}

// `device` is /dev/xen/xenbus, open for both. Returns when xenstored has answered; dies of a
// refusal.
static inline void xenstore_write(int device, const char* node, const char* value) {
  XenstoreMessage message = {.type = XENSTORE_WRITE};
  size_t node_bytes = strlen(node) + 1, value_bytes = strlen(value);
  if (node_bytes + value_bytes > XENSTORE_PAYLOAD_MAX) {
    fprintf(stderr, "xenstore: %s is too long\n", node);
    exit(EXIT_USAGE);
  }
  memcpy(message.payload, node, node_bytes);
  memcpy(message.payload + node_bytes, value, value_bytes);
  message.payload_bytes = (uint32_t)(node_bytes + value_bytes);
  size_t bytes = offsetof(XenstoreMessage, payload) + message.payload_bytes;
  if (write(device, &message, bytes) != (ssize_t)bytes) die("xenstore: write");
  xenstore_read(device, &message, offsetof(XenstoreMessage, payload));
  if (message.payload_bytes > XENSTORE_PAYLOAD_MAX) {
    fprintf(stderr, "xenstore: an answer of %u bytes\n", message.payload_bytes);
    exit(EXIT_USAGE);
  }
  xenstore_read(device, message.payload, message.payload_bytes);
  if (message.type == XENSTORE_WRITE) return;
  fprintf(stderr, "xenstore: %s: %.*s\n", node, (int)message.payload_bytes, message.payload);
  exit(EXIT_USAGE);
}

#endif
