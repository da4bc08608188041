// SPDX-License-Identifier: GPL-2.0-or-later
// xenstore's wire protocol, without its library: requests out, replies and watch events in, never
// waiting. The other end may be a kernel (a device) or a xenstored (a UNIX socket); what it sends
// is taken with bounds.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// As in Xen's public/io/xs_wire.h.
enum WireType { kWireRead = 2, kWireWatch = 4, kWireWrite = 11, kWireEvent = 15, kWireError = 16 };
enum { kWireHeader = 16, kWirePayloadMax = 4096 };

typedef struct {
  int file;     // -1: closed
  bool device;  // the kernel's; else a socket
  size_t held;
  size_t taken;  // of `held`: the message handed out last
  char inbox[kWireHeader + kWirePayloadMax + 1];
} Wire;

typedef struct {
  uint32_t type;
  uint32_t request;  // the number that the request was sent with
  const char* text;  // NUL-terminated; valid until the next call
  uint32_t length;
} WireMessage;

void wire_init(Wire* wire);
// These return 0 or -errno.
int wire_open(Wire* wire, const char* path);
void wire_close(Wire* wire);
// A request about `path`, when the last one is answered: the kernel's device has one buffer for
// each open file, and another request would overwrite what xenstored has not read yet. Worse, the
// Debian 12 xenstored aborts on such a request (it does not end with NUL). `value`: what to write,
// or a watch's token; NULL for a read.
int wire_send(Wire* wire, uint32_t type, uint32_t request, const char* path, const char* value);
// 1: there is a message. 0: no more for now. -errno: the connection is of no use any more.
int wire_receive(Wire* wire, WireMessage* message);

#ifdef __cplusplus
}
#endif
