// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "bring_back.h"

#include <errno.h>
#include <sys/uio.h>

int bring_back_pages(const FoundPages* found) {
  char bytes[kFoundMax];
  struct iovec pages[kFoundMax];
  unsigned at = 0;
  int count = 0;
  for (unsigned i = 0; i < found->count; ++i) {
    pages[i].iov_base = (void*)(uintptr_t)found->addresses[i];
    pages[i].iov_len = 1;
  }
  while (at < found->count) {
    const unsigned left = found->count - at;
    const struct iovec here = {bytes, left};
    const ssize_t got = process_vm_readv(found->pid, &here, 1, pages + at, left, 0);
    if (got < 0 && errno != EFAULT) return count > 0 ? count : -errno;
    const unsigned read = got > 0 ? (unsigned)got : 0;
    count += (int)read;
    at += read;
    if (read < left) ++at;  // this one is gone, or lost
  }
  return count;
}
