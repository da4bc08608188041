// SPDX-License-Identifier: GPL-2.0-or-later
// Self-ballooning by Committed_AS, as the last Linux driver for Xen did it: every 5 s a guest goes
// an eighth of the way down to what it has promised to its programs, or all of the way up.
// Source: Linux 5.2, drivers/xen/xen-selfballoon.c.
//
//   goal = Committed_AS + totalreserve + reserved + pages in frontswap
//
// The driver reads totalram; here that is the report's total, and what the balloon has beyond it
// is added again. reserved is a share of the guest's maximum, with which it boots. Pages in
// frontswap are what the pool holds of its swap. The driver knows no host: where the sum of targets
// is more than there is, they are clamped by weight. A guest without a report keeps its target.
//
// Knob: reserved (selfballoon_reserved_mb), as a share of the guest's maximum; published: a tenth.
#pragma once
#include <cstdint>
#include <memory>

#include "policy/strategy.h"

namespace tmem::policy::baselines {

std::unique_ptr<Strategy> make_self_balloon(double reserved_share);

// The least that a guest of that size keeps.
uint64_t self_balloon_floor_bytes(uint64_t max_bytes, uint64_t reserve_bytes);

// The driver's other half, in the same period: pages in frontswap come back, a twentieth at a time,
// once their number has not grown for 3 periods.
class FrontswapShrink {
 public:
  // How many of them may stay, if that is fewer than there are.
  uint64_t next_pages(uint64_t current_pages);

 private:
  uint64_t last_pages_ = 0;
  uint32_t inertia_ = 0;
};

}  // namespace tmem::policy::baselines
