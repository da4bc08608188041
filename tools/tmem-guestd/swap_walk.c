// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "swap_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup_room.h"
#include "file.h"
#include "text.h"

enum {
  kPageBytes = 4096,
  kProcessLooks = 256,  // what asking a process costs, in pages looked at
  kEnterLooks = 1024,
  kLineLooks = 4,
  kDenseChunk = 64,  // what is found is read first, and entries that are left are looked at again
};
static const uint64_t kWidestBytes = (uint64_t)1 << 40;
static const uint64_t kSwapped = (uint64_t)1 << 62;

void swap_walk_init(SwapWalk* walk, const char* root) {
  memset(walk, 0, sizeof(*walk));
  walk->root = root;
  walk->processes = walk->maps = walk->pagemap = -1;
}

static void close_file(int* file) {
  if (*file >= 0) close(*file);
  *file = -1;
}

static void leave_process(SwapWalk* walk) {
  close_file(&walk->maps);
  close_file(&walk->pagemap);
  walk->pid = 0;
  walk->at = walk->end = 0;
}

void swap_walk_end(SwapWalk* walk) {
  leave_process(walk);
  close_file(&walk->processes);
}

bool swap_walk_begin(SwapWalk* walk) {
  swap_walk_end(walk);
  walk->names_length = walk->names_at = 0;
  walk->refused = 0;
  walk->refusal = 0;
  walk->processes = open_below(walk->root, "/proc", O_RDONLY | O_DIRECTORY);
  return walk->processes >= 0;
}

bool swap_walk_is_open(const SwapWalk* walk) {
  return walk->processes >= 0;
}

// 0: no more.
static int next_pid(SwapWalk* walk) {
  for (;;) {
    if (walk->names_at == walk->names_length) {
      const ssize_t length = getdents64(walk->processes, walk->names, sizeof(walk->names));
      if (length <= 0) return 0;
      walk->names_length = (size_t)length;
      walk->names_at = 0;
    }
    const struct dirent64* entry =
        (const struct dirent64*)(const void*)(walk->names + walk->names_at);
    uint64_t pid;
    walk->names_at += entry->d_reclen;
    if (parse_number(entry->d_name, &pid) && pid > 0 && pid <= INT32_MAX) return (int)pid;
  }
}

static int open_of(const SwapWalk* walk, int pid, const char* name) {
  char path[64];
  Text text = text_in(path, sizeof(path));
  add_text(&text, "/proc/");
  add_number(&text, (uint64_t)pid);
  add_text(&text, name);
  return open_below(walk->root, path, O_RDONLY);
}

// "VmSwap:     1234 kB". A kernel thread has none.
static void take_swap(void* context, const char* line) {
  const char* at = after(line, "VmSwap:");
  uint64_t* kib = context;
  if (!at) return;
  at = skip_spaces(at);
  take_number(&at, kib);
}

static void note_refusal(SwapWalk* walk, int error) {
  // A process that has ended meanwhile refuses nothing.
  if (error == ENOENT || error == ESRCH) return;
  walk->refusal = error;
  walk->refused++;
}

void swap_walk_refused(SwapWalk* walk, int pid, int error) {
  note_refusal(walk, error);
  if (walk->pid == pid) leave_process(walk);
}

static bool open_process(SwapWalk* walk, int pid) {
  walk->maps = open_of(walk, pid, "/maps");
  if (walk->maps >= 0) walk->pagemap = open_of(walk, pid, "/pagemap");
  if (walk->pagemap >= 0) return true;
  note_refusal(walk, errno);
  return false;
}

static bool enter_process(SwapWalk* walk, int pid) {
  uint64_t kib = 0;
  const int status = open_of(walk, pid, "/status");
  if (status < 0) return false;
  for_each_line(status, take_swap, &kib);
  close(status);
  if (kib == 0) return false;
  const bool opened = open_process(walk, pid);
  walk->pid = pid;
  walk->pages_left = kib / (kPageBytes / 1024);
  walk->room_pages = cgroup_room_bytes(walk->root, pid) / kPageBytes;
  walk->maps_length = walk->maps_at = 0;
  if (!opened || walk->room_pages == 0) leave_process(walk);
  return true;
}

// The next line of the maps, without its end; NULL: no more. Of one that is too long, the
// beginning.
static char* next_line(SwapWalk* walk) {
  for (;;) {
    char* line = walk->lines + walk->maps_at;
    const size_t held = walk->maps_length - walk->maps_at;
    char* end = memchr(line, '\n', held);
    if (end) {
      *end = '\0';
      walk->maps_at += (size_t)(end - line) + 1;
      return line;
    }
    memmove(walk->lines, line, held);
    walk->maps_at = 0;
    walk->maps_length = held;
    if (held == sizeof(walk->lines)) walk->maps_length = 128;  // the name is what makes it long
    const ssize_t more =
        read(walk->maps, walk->lines + walk->maps_length, sizeof(walk->lines) - walk->maps_length);
    if (more <= 0) return NULL;
    walk->maps_length += (size_t)more;
  }
}

// "55d0c0a00000-55d0c0a21000 rw-p 00000000 00:00 0    [heap]"
static bool take_mapping(SwapWalk* walk, const char* line) {
  char* at;
  const uint64_t begin = strtoull(line, &at, 16);
  if (*at != '-') return false;
  const uint64_t end = strtoull(at + 1, &at, 16);
  const bool readable = at[0] == ' ' && at[1] == 'r';
  const bool owned = readable && at[2] != '\0' && at[3] != '\0' && at[4] == 'p';
  if (!owned || end <= begin || end - begin > kWidestBytes || begin % kPageBytes != 0 ||
      end % kPageBytes != 0)
    return false;
  walk->at = begin;
  walk->end = end;
  return true;
}

static void spend(uint32_t* looks, uint32_t cost) {
  *looks -= *looks < cost ? *looks : cost;
}

// Looks on in the mapping until there are enough or the mapping ends.
static void look_on(SwapWalk* walk, uint32_t types, unsigned most, FoundPages* found,
                    uint32_t* looks) {
  uint64_t entries[kWalkChunk];
  const uint64_t pages = (walk->end - walk->at) / kPageBytes;
  const size_t chunk = walk->dense ? kDenseChunk : kWalkChunk;
  const size_t wanted = pages < chunk ? (size_t)pages : chunk;
  const ssize_t got = pread(walk->pagemap, entries, wanted * sizeof(*entries),
                            (off_t)(walk->at / kPageBytes * sizeof(*entries)));
  const size_t count = got > 0 ? (size_t)got / sizeof(*entries) : 0;
  size_t i = 0;
  for (; i < count && found->count < most; ++i) {
    if (!(entries[i] & kSwapped)) continue;
    if (walk->pages_left > 0) walk->pages_left--;
    if (types >> (entries[i] % kSwapTypes) & 1)
      found->addresses[found->count++] = walk->at + i * kPageBytes;
  }
  walk->dense = found->count > 0;
  walk->at = count == 0 ? walk->end : walk->at + i * kPageBytes;
  spend(looks, (uint32_t)i);
}

static bool has_more(const SwapWalk* walk) {
  return walk->pages_left > 0 && walk->room_pages > 0;
}

bool swap_walk_next(SwapWalk* walk, uint32_t types, unsigned most, FoundPages* found,
                    uint32_t* looks) {
  if (most > kFoundMax) most = kFoundMax;
  found->count = 0;
  found->pid = walk->pid;
  while (*looks > 0 && found->count < most) {
    if (walk->pid == 0) {
      const int pid = next_pid(walk);
      if (pid == 0) {
        swap_walk_end(walk);
        return false;
      }
      spend(looks, kProcessLooks);
      if (pid != getpid() && enter_process(walk, pid)) spend(looks, kEnterLooks);
      found->pid = walk->pid;
    } else if (walk->at < walk->end && has_more(walk)) {
      const unsigned before = found->count;
      const uint64_t allowed = before + walk->room_pages;
      look_on(walk, types, allowed < most ? (unsigned)allowed : most, found, looks);
      walk->room_pages -= found->count - before;
    } else {
      const char* line = has_more(walk) ? next_line(walk) : NULL;
      spend(looks, kLineLooks);
      if (line)
        take_mapping(walk, line);
      else
        leave_process(walk);
      if (!line && found->count > 0) return true;  // the next pages are another process's
    }
  }
  return true;
}
