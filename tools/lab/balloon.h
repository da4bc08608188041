// SPDX-License-Identifier: GPL-2.0-or-later
// The arithmetic of self-ballooning and of frontswap self-shrinking, as Linux' xen-selfballoon.c
// did it. Pure functions; all sizes in pages.
#pragma once
#include <cstdint>

#include "tools/lab/parameters.h"

namespace tmem::lab {

struct BalloonInput {
  uint64_t current = 0;        // memory the guest has now (totalram)
  uint64_t committed = 0;      // Committed_AS
  uint64_t total_reserve = 0;  // totalreserve_pages
  uint64_t reserved = 0;       // selfballoon_reserved_mb
  uint64_t frontswap = 0;      // pages in frontswap; 0 where self-shrinking is off
  uint64_t max = 0;            // max_pfn: what the guest may ever have
};

// The least memory that self-ballooning leaves a guest. `scale` divides the driver's constants in
// megabytes, as it divides the guest.
uint64_t balloon_floor(uint64_t max, uint64_t total_reserve, uint32_t scale);

// The memory the guest should have next, floor <= target <= max.
uint64_t balloon_target(const BalloonInput& input, const BalloonModel& model, uint32_t scale);

// totalreserve_pages of a guest with `max` pages: Linux' high watermark.
uint64_t total_reserve_pages(uint64_t max, uint32_t scale);

// Decides how many pages frontswap should hold after each balloon period.
class SelfShrink {
 public:
  explicit SelfShrink(const BalloonModel& model);
  // The number of pages frontswap should shrink to; `current` when nothing is to be done.
  uint64_t target(uint64_t current);

 private:
  uint32_t hysteresis_;
  uint32_t inertia_;
  uint32_t counter_;
  uint64_t last_ = 0;
};

}  // namespace tmem::lab
