// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct {
  uint32_t type;
  uint32_t request;
  uint32_t transaction;
  uint32_t length;
} Header;
_Static_assert(sizeof(Header) == kWireHeader, "the header has no gaps");

void wire_init(Wire* wire) {
  wire->file = -1;
  wire->device = false;
  wire->held = wire->taken = 0;
}

static int connect_to(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(address.sun_path)) return -ENAMETOOLONG;
  strcpy(address.sun_path, path);
  const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (file < 0) return -errno;
  if (connect(file, (const struct sockaddr*)&address, sizeof(address)) == 0) return file;
  const int error = errno;
  close(file);
  return -error;
}

int wire_open(Wire* wire, const char* path) {
  struct stat status;
  wire_close(wire);
  if (stat(path, &status) != 0) return -errno;
  if (S_ISSOCK(status.st_mode)) {
    const int file = connect_to(path);
    if (file < 0) return file;
    wire->file = file;
    return 0;
  }
  wire->file = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  wire->device = true;
  return wire->file < 0 ? -errno : 0;
}

void wire_close(Wire* wire) {
  if (wire->file >= 0) close(wire->file);
  wire_init(wire);
}

int wire_send(Wire* wire, uint32_t type, uint32_t request, const char* path, const char* value) {
  char message[kWireHeader + 1024];
  const size_t path_size = strlen(path) + 1;
  // A watch's token ends with its NUL, a written value does not.
  const size_t value_size = value ? strlen(value) + (type == kWireWatch ? 1 : 0) : 0;
  const size_t size = kWireHeader + path_size + value_size;
  const Header header = {type, request, 0, (uint32_t)(path_size + value_size)};
  if (wire->file < 0) return -ENOTCONN;
  if (size > sizeof(message)) return -E2BIG;
  memcpy(message, &header, kWireHeader);
  memcpy(message + kWireHeader, path, path_size);
  if (value) memcpy(message + kWireHeader + path_size, value, value_size);
  // One write, so that the device sees a whole message. A dead socket must not raise SIGPIPE; the
  // program ignores it.
  const ssize_t written = write(wire->file, message, size);
  if (written == (ssize_t)size) return 0;
  return written < 0 ? -errno : -EIO;
}

// 1: the inbox holds a whole message. 0: not yet.
static int whole_message(Wire* wire, WireMessage* message) {
  Header header;
  if (wire->held < kWireHeader) return 0;
  memcpy(&header, wire->inbox, kWireHeader);
  if (header.length > kWirePayloadMax) return -EPROTO;
  if (wire->held < kWireHeader + header.length) return 0;
  wire->taken = kWireHeader + header.length;
  message->type = header.type;
  message->request = header.request;
  message->text = wire->inbox + kWireHeader;
  message->length = header.length;
  return 1;
}

// Reads no more than the message that has begun, so that its end is always the inbox's.
static ssize_t read_more(Wire* wire) {
  size_t wanted = kWireHeader;
  if (wire->held >= kWireHeader) {
    Header header;
    memcpy(&header, wire->inbox, kWireHeader);
    wanted += header.length;
  }
  return read(wire->file, wire->inbox + wire->held, wanted - wire->held);
}

int wire_receive(Wire* wire, WireMessage* message) {
  if (wire->file < 0) return -ENOTCONN;
  if (wire->taken > 0) wire->held = wire->taken = 0;
  for (;;) {
    const int whole = whole_message(wire, message);
    if (whole > 0) wire->inbox[wire->held] = '\0';
    if (whole != 0) return whole;
    const ssize_t more = read_more(wire);
    if (more > 0) {
      wire->held += (size_t)more;
    } else if (more == 0) {
      return -EPIPE;
    } else if (errno == EAGAIN) {
      return 0;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
}
