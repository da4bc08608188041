// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup_room.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "text.h"

enum { kMarginParts = 10 };

typedef struct {
  Text path;  // in the unified hierarchy
  bool unknown;
} Groups;

// "0::/system.slice/a.service", "4:memory:/a"
static void take_group(void* context, const char* line) {
  Groups* groups = context;
  const char* controllers = strchr(line, ':');
  const char* path = controllers ? strchr(controllers + 1, ':') : NULL;
  if (!path) return;
  if (path == controllers + 1) {
    add_text(&groups->path, path + 1);
  } else {
    const char* memory = strstr(controllers, "memory");
    if (memory && memory < path && strcmp(path, ":/") != 0) groups->unknown = true;
  }
}

static bool read_of(const char* root, const char* group, const char* name, uint64_t* number) {
  char path[kPathMax];
  Text text = text_in(path, sizeof(path));
  add_text(&text, "/sys/fs/cgroup");
  add_text(&text, group);
  add_text(&text, name);
  const int file = text.cut ? -1 : open_below(root, path, O_RDONLY);
  if (file < 0) return false;
  const bool read = read_number(file, number);  // not where it says "max"
  close(file);
  return read;
}

static uint64_t room_of(const char* root, const char* group, const char* limit_name) {
  uint64_t limit, used;
  if (!read_of(root, group, limit_name, &limit)) return UINT64_MAX;
  if (!read_of(root, group, "/memory.current", &used)) return 0;
  const uint64_t allowed = limit - limit / kMarginParts;
  return allowed > used ? allowed - used : 0;
}

uint64_t cgroup_room_bytes(const char* root, int pid) {
  char name[64], group[kPathMax];
  Text text = text_in(name, sizeof(name));
  add_text(&text, "/proc/");
  add_number(&text, (uint64_t)pid);
  add_text(&text, "/cgroup");
  Groups groups = {text_in(group, sizeof(group)), false};
  const int file = open_below(root, name, O_RDONLY);
  if (file < 0) return UINT64_MAX;  // a kernel without control groups
  for_each_line(file, take_group, &groups);
  close(file);
  if (groups.unknown || groups.path.cut) return 0;
  uint64_t room = UINT64_MAX;
  for (char* end; (end = strrchr(group, '/')) != NULL; *end = '\0') {
    if (end[1] == '\0') continue;  // the root has no limit
    const uint64_t hard = room_of(root, group, "/memory.max");
    const uint64_t soft = room_of(root, group, "/memory.high");
    if (hard < room) room = hard;
    if (soft < room) room = soft;
  }
  return room;
}
