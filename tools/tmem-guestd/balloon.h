// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's balloon, by sysfs. The kernel and dom0 count differently in guests that are not PV:
// by a constant, the difference of memory/target and the kernel's own target. It can be seen only
// while dom0's target is in force, so it is kept in /run for the agent's next start.
#pragma once
#include "law.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int target;   // target_kb; -1: not open
  int current;  // info/current_kb
  uint64_t offset_kib;
} Balloon;

void balloon_init(Balloon* balloon);
// Takes over from dom0, whose last order was `dom0_target_kib` (0: none). False, and says why,
// where it cannot.
bool balloon_take(Balloon* balloon, const char* root, uint64_t dom0_target_kib);
void balloon_release(Balloon* balloon);
// Has the guest's MemTotal, now `total_kib`, become `want_kib`, as far as `bounds` allow. Returns 0
// or -errno.
int balloon_set(const Balloon* balloon, const Bounds* bounds, uint64_t want_kib,
                uint64_t total_kib);

#ifdef __cplusplus
}
#endif
