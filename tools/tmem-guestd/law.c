// SPDX-License-Identifier: GPL-2.0-or-later
#include "law.h"

enum { kStepMs = 5000, kStepParts = 8, kGrowParts = 10, kMarginParts = 10, kPageKib = 4 };
static const uint64_t kHugeKib = (uint64_t)1 << 44;

static uint64_t bounded(uint64_t kib) {
  return kib < kHugeKib ? kib : kHugeKib;
}

void law_init(Law* law, uint64_t total_at_start_kib) {
  const Law fresh = {.margin_kib = bounded(total_at_start_kib) / kMarginParts};
  *law = fresh;
}

uint64_t law_want_kib(Law* law, const LawInput* input) {
  const uint64_t total_kib = bounded(input->total_kib);
  const uint64_t base_kib =
      bounded(input->committed_kib) + bounded(input->reserve_kib) + law->margin_kib;
  const bool step = input->now_ms >= law->step_at_ms;
  if (input->pressed) {
    const uint64_t grown_kib = total_kib + total_kib / kGrowParts;
    if (grown_kib > base_kib + law->correction_kib) law->correction_kib = grown_kib - base_kib;
  } else if (step) {
    law->correction_kib -= (law->correction_kib + kStepParts - 1) / kStepParts;
  }
  const uint64_t wished_kib = base_kib + law->correction_kib;
  const uint64_t least_kib = bounded(input->least_kib);
  const uint64_t goal_kib = wished_kib > least_kib ? wished_kib : least_kib;
  if (goal_kib >= total_kib)
    law->want_kib = goal_kib;
  else if (step || law->want_kib == 0)
    law->want_kib = total_kib - (total_kib - goal_kib) / kStepParts;
  if (step) law->step_at_ms = input->now_ms + kStepMs;
  return law->want_kib;
}

bool bounds_are_valid(const Bounds* bounds) {
  return bounds->min_kib > 0 && bounds->max_kib <= kHugeKib &&
         within_bounds_kib(bounds, bounds->min_kib) >= bounds->min_kib;
}

uint64_t within_bounds_kib(const Bounds* bounds, uint64_t target_kib) {
  const uint64_t pages = target_kib / kPageKib;
  const uint64_t min_pages = (bounds->min_kib + kPageKib - 1) / kPageKib;
  const uint64_t max_pages = bounds->max_kib / kPageKib;
  // Where no page lies within, the upper bound counts: it is other guests' memory.
  const uint64_t raised = pages < min_pages ? min_pages : pages;
  return (raised < max_pages ? raised : max_pages) * kPageKib;
}
