// SPDX-License-Identifier: GPL-2.0-or-later
#include "balloon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "kept.h"
#include "text.h"

static const char kTargetPath[] = "/sys/devices/system/xen_memory/xen_memory0/target_kb";
static const char kCurrentPath[] = "/sys/devices/system/xen_memory/xen_memory0/info/current_kb";
static const char kTypePath[] = "/sys/hypervisor/guest_type";
static const char kOffset[] = "offset_kib";
enum { kNotWorthKib = 64 };  // smaller changes are left out

void balloon_init(Balloon* balloon) {
  balloon->target = balloon->current = -1;
  balloon->offset_kib = 0;
}

static bool is_pv(const char* root) {
  char type[8] = "";
  const int file = open_below(root, kTypePath, O_RDONLY);
  if (file < 0) return false;
  const ssize_t length = read(file, type, sizeof(type) - 1);
  close(file);
  return length >= 2 && strncmp(type, "PV", 2) == 0 && (type[2] == '\n' || type[2] == '\0');
}

// False where it cannot be known.
static bool find_offset(Balloon* balloon, const char* root, uint64_t dom0_target_kib) {
  uint64_t kernel_kib;
  balloon->offset_kib = 0;
  if (is_pv(root)) return true;
  if (load_kept(root, kOffset, &balloon->offset_kib)) return true;
  if (dom0_target_kib == 0 || !read_number(balloon->target, &kernel_kib) ||
      dom0_target_kib < kernel_kib) {
    say("memory/target is missing or below the kernel's own target: the balloon is left to dom0",
        NULL);
    return false;
  }
  balloon->offset_kib = dom0_target_kib - kernel_kib;
  if (keep(root, kOffset, balloon->offset_kib)) return true;
  say("/run/tmem-guestd/", kOffset, " cannot be written: ", strerror(errno),
      "; the balloon is left to dom0", NULL);
  return false;
}

bool balloon_take(Balloon* balloon, const char* root, uint64_t dom0_target_kib) {
  balloon->target = open_below(root, kTargetPath, O_RDWR);
  if (balloon->target >= 0) balloon->current = open_below(root, kCurrentPath, O_RDONLY);
  if (balloon->current < 0)
    say("the kernel's balloon cannot be used: ", balloon->target < 0 ? kTargetPath : kCurrentPath,
        ": ", strerror(errno), NULL);
  if (balloon->current >= 0 && find_offset(balloon, root, dom0_target_kib)) return true;
  balloon_release(balloon);
  return false;
}

void balloon_release(Balloon* balloon) {
  if (balloon->target >= 0) close(balloon->target);
  if (balloon->current >= 0) close(balloon->current);
  balloon_init(balloon);
}

int balloon_set(const Balloon* balloon, const Bounds* bounds, uint64_t want_kib,
                uint64_t total_kib) {
  uint64_t current_kib, target_kib;
  if (!read_number(balloon->current, &current_kib) || !read_number(balloon->target, &target_kib))
    return -EIO;
  // What the kernel holds but does not count as usable: its own image, its page tables.
  const uint64_t unusable_kib = current_kib > total_kib ? current_kib - total_kib : 0;
  const uint64_t asked_kib =
      within_bounds_kib(bounds, want_kib + unusable_kib + balloon->offset_kib);
  if (asked_kib < balloon->offset_kib) return -ERANGE;
  const uint64_t new_kib = asked_kib - balloon->offset_kib;
  const uint64_t distance_kib = new_kib > target_kib ? new_kib - target_kib : target_kib - new_kib;
  const uint64_t now_kib = target_kib + balloon->offset_kib;
  const bool outside = now_kib < bounds->min_kib || now_kib > bounds->max_kib;
  if (distance_kib == 0 || (distance_kib < kNotWorthKib && !outside)) return 0;
  return write_number(balloon->target, new_kib);
}
