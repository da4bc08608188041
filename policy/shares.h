// SPDX-License-Identifier: GPL-2.0-or-later
// Weighted max-min sharing (water filling): who asks for less than its share gets what it asks for,
// the rest is shared by weight among the others, again and again.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace tmem::policy {

struct Claim {
  uint64_t least_bytes = 0;   // given before anything is shared
  uint64_t wanted_bytes = 0;  // never more than this; at least `least_bytes`
  uint64_t weight = 1;        // 0 counts as 1; the sum of all fits into 64 bits
  uint32_t priority = 0;      // all of a higher one is met before a lower one gets more than least
};

// What each gets, in the order of `claims`. The sum is at most `total_bytes`, unless the sum of all
// `least_bytes` is more: then it is that. Rounding leaves at most a byte a claim unused.
std::vector<uint64_t> share(std::span<const Claim> claims, uint64_t total_bytes);

}  // namespace tmem::policy
