// SPDX-License-Identifier: GPL-2.0-or-later
// What the published algorithms share: how each sees a host that has a pool.
//
// They know no pool. Its ephemeral pages are to them what they are: free memory, as page cache is.
#pragma once
#include <cstdint>
#include <map>
#include <span>

#include "policy/strategy.h"

namespace tmem::policy::baselines {

inline uint64_t free_bytes(const HostView& host) {
  return host.free_bytes + host.pool_freeable_bytes;
}

template <typename State>
void forget_gone(std::map<GuestId, State>& states, std::span<const Estimate> estimates) {
  std::map<GuestId, State> kept;
  for (const Estimate& estimate : estimates)
    if (auto node = states.extract(estimate.facts.id)) kept.insert(std::move(node));
  states.swap(kept);
}

// For algorithms in which each guest decides alone: when they wish for more than there is beside
// the other guests and the head-room, each gets its minimum, and by weight of the rest up to its
// wish.
void clamp_by_weight(const HostView& host, std::span<const Estimate> estimates, Plan& plan);

}  // namespace tmem::policy::baselines
