// SPDX-License-Identifier: GPL-2.0-or-later
// How much memory the guest should have, when it decides by itself: what it committed, the kernel's
// reserve, a tenth of what it had at the start, and a correction that grows while processes wait
// for memory. Up at once; down by an eighth of the distance each five seconds.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint64_t margin_kib;
  uint64_t correction_kib;
  uint64_t want_kib;
  uint64_t step_at_ms;  // the next step down
} Law;

typedef struct {
  uint64_t now_ms;
  uint64_t total_kib;  // MemTotal: what the guest can use now
  uint64_t committed_kib;
  uint64_t reserve_kib;
  bool pressed;        // processes waited for memory for over 1 % of the last second
  uint64_t least_kib;  // less would leave nothing that could be made free
} LawInput;

void law_init(Law* law, uint64_t total_at_start_kib);
// MemTotal as it should be. Nothing bounds it yet.
uint64_t law_want_kib(Law* law, const LawInput* input);

// dom0's bounds of what it counts as the guest's memory.
typedef struct {
  uint64_t min_kib;
  uint64_t max_kib;
} Bounds;
bool bounds_are_valid(const Bounds* bounds);
// The nearest target within them, of whole pages.
uint64_t within_bounds_kib(const Bounds* bounds, uint64_t target_kib);

#ifdef __cplusplus
}
#endif
