// SPDX-License-Identifier: GPL-2.0-or-later
// The best static partition: a split of the host's memory that never changes, chosen with knowledge
// of the whole scenario. No policy can have that knowledge; it says what one without change can do
// at best.
//
// Each guest's stall is measured at sixteenths of its maximum, all guests at the same fraction in
// one run without pool on a host that is large enough; then the split of the least sum of stalls
// over all splits of that grid is found (exactly, as guests depend on each other by the disk only).
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "policy/strategy.h"
#include "tools/lab/policies/constants.h"
#include "tools/lab/policies/scenario.h"

namespace tmem::lab::policies {

// What a guest waits with so much memory.
struct StallAt {
  uint64_t pages = 0;
  double stall_some = 0;
};
using StallCurve = std::vector<StallAt>;  // by pages, rising

class BestStatic {
 public:
  BestStatic(const Scenario& scenario, const Constants& constants);
  // For each guest, so that the sum is at most `share` of the host's memory but its head-room.
  std::vector<uint64_t> split_pages(double share) const;
  std::unique_ptr<policy::Strategy> make(double share) const;

 private:
  uint64_t usable_pages_;
  std::vector<StallCurve> curves_;
};

// The pages for each guest with the least sum of stalls within the budget; of equal ones the
// smallest. Where not even the first of each curve fits, those.
std::vector<uint64_t> least_stall_split(const std::vector<StallCurve>& curves,
                                        uint64_t budget_pages);

// Holds these targets.
std::unique_ptr<policy::Strategy> make_fixed_split(std::vector<uint64_t> pages);

}  // namespace tmem::lab::policies
