// SPDX-License-Identifier: GPL-2.0-or-later
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

int open_below(const char* root, const char* path, int flags) {
  char name[kPathMax];
  Text text = text_in(name, sizeof(name));
  add_text(&text, root);
  add_text(&text, path);
  if (text.cut) {
    errno = ENAMETOOLONG;
    return -1;
  }
  return open(name, flags | O_CLOEXEC, 0644);
}

// Hands out the lines of `buffer` that are complete; returns how many bytes they took.
static size_t take_lines(char* buffer, size_t length, LineFunction function, void* context) {
  size_t taken = 0;
  for (;;) {
    char* end = memchr(buffer + taken, '\n', length - taken);
    if (!end) return taken;
    *end = '\0';
    function(context, buffer + taken);
    taken = (size_t)(end - buffer) + 1;
  }
}

int for_each_line(int file, LineFunction function, void* context) {
  char buffer[16384 + 1];  // a read of all of /proc/vmstat is cheaper than two
  size_t held = 0;
  off_t offset = 0;
  for (;;) {
    const ssize_t more = pread(file, buffer + held, sizeof(buffer) - 1 - held, offset);
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return -errno;
    offset += more;
    held += (size_t)more;
    const size_t taken = take_lines(buffer, held, function, context);
    held -= taken;
    memmove(buffer, buffer + taken, held);
    if (held > 0 && (more == 0 || held == sizeof(buffer) - 1)) {
      buffer[held] = '\0';
      function(context, buffer);
      held = 0;
    }
    if (more == 0) return 0;
  }
}

bool read_number(int file, uint64_t* number) {
  char buffer[64];
  const ssize_t length = pread(file, buffer, sizeof(buffer) - 1, 0);
  if (length <= 0) return false;
  buffer[length] = '\0';
  return parse_number(buffer, number);
}

int write_number(int file, uint64_t number) {
  char buffer[24];
  Text text = text_in(buffer, sizeof(buffer));
  add_number(&text, number);
  add_text(&text, "\n");
  const ssize_t written = pwrite(file, buffer, text.length, 0);
  if (written < 0) return -errno;
  return written == (ssize_t)text.length ? 0 : -EIO;
}
