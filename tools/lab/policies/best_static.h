// SPDX-License-Identifier: GPL-2.0-or-later
// The best static partition: a split of memory that never changes, searched for with
// knowledge of the whole scenario. No policy can have that knowledge; it says what one without
// change can do at best.
//
// A split is judged by a whole run with it. The search (split_search.h) starts at the split by
// size, the equal one, and the one that would be best if guests did not disturb each other: each
// guest's stall is measured at sixteenths of its maximum while the others are idle, and the least
// sum of stalls over all splits of that grid is found.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "policy/strategy.h"
#include "tools/lab/policies/constants.h"
#include "tools/lab/policies/scenario.h"
#include "tools/lab/policies/split_search.h"

namespace tmem::lab::policies {

// What a guest waits with so much memory.
struct StallAt {
  uint64_t pages = 0;
  double stall_some = 0;
};
using StallCurve = std::vector<StallAt>;  // by pages, rising

// Searches of one scenario.
class BestStatic {
 public:
  BestStatic(const Scenario& scenario, const Constants& constants);

  // In all `share` of the guests' maxima; where the host, less its head-room, has less, that.
  const Split& search(double share, bool pool);

  // The starts that know nothing of what guests do.
  Split split_by_size(double share) const;
  Split equal_split(double share) const;

 private:
  uint64_t budget_pages(double share) const;
  std::vector<double> run(const Split& split, bool pool) const;

  const Scenario& scenario_;
  const Constants constants_;
  SplitLimits limits_;
  std::vector<StallCurve> curves_;
  std::map<std::pair<uint64_t, bool>, Split> found_;  // by budget and pool
};

// The pages for each guest with the least sum of stalls within the budget; of equal ones the
// smallest. Where not even the first of each curve fits, those.
Split least_stall_split(const std::vector<StallCurve>& curves, uint64_t budget_pages);

// Holds these targets.
std::unique_ptr<policy::Strategy> make_fixed_split(const Split& split);

}  // namespace tmem::lab::policies
