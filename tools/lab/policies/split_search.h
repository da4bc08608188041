// SPDX-License-Identifier: GPL-2.0-or-later
// From some splits of memory to a better one, by trying: descent, a piece at a time from one guest
// to another. It ends at a split that no such piece improves (a local optimum), or when the trials
// are used up.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

namespace tmem::lab::policies {

using Split = std::vector<uint64_t>;  // pages of each guest

struct SplitLimits {
  Split min_pages;
  Split max_pages;
};

// Each guest's stall with a split.
using TrySplit = std::function<std::vector<double>(const Split&)>;

// Of all splits tried, the first with the least sum of stalls; all starts are tried.
Split improve_split(const std::vector<Split>& starts, const SplitLimits& limits, uint32_t trials,
                    const TrySplit& try_split);

// `pages` in proportion to the weights; what is beyond a guest's limit goes to the others.
Split divide(uint64_t pages, const std::vector<uint64_t>& weights, const SplitLimits& limits);

}  // namespace tmem::lab::policies
