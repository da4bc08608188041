// SPDX-License-Identifier: GPL-2.0-or-later
#include "pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "file.h"
#include "text.h"

static const char kTrigger[] = "some 50000 500000";

int open_pressure_trigger(const char* root) {
  struct statfs system;
  const int file = open_below(root, "/proc/pressure/memory", O_RDWR | O_NONBLOCK);
  if (file < 0 && errno == ENOENT) return -1;  // no PSI: open_samples() says so
  // Elsewhere than in /proc or a cgroup it is somebody's data.
  if (file >= 0 && (fstatfs(file, &system) != 0 ||
                    (system.f_type != PROC_SUPER_MAGIC && system.f_type != CGROUP2_SUPER_MAGIC)))
    errno = EOPNOTSUPP;
  else if (file >= 0 && write(file, kTrigger, sizeof(kTrigger)) > 0)
    return file;
  say("no trigger for memory pressure: ", strerror(errno), "; looking each second or two instead",
      NULL);
  if (file >= 0) close(file);
  return -1;
}
