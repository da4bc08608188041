// SPDX-License-Identifier: GPL-2.0-or-later
// The last step before a target reaches a guest: whatever a strategy wishes and whatever guests
// say, the bounded plan fits into the host.
//
// Let capacity = total - head_room - claims - (pool_held - pool_freeable). Invariants of a
// BoundedPlan: min <= target <= max for each guest with a balloon; growth is given only from memory
// that is there: while the guests have no more than the capacity, the sum of max(target, actual)
// stays within it; while they have more (head-room was raised), nobody grows, and all give back
// until the sum of targets is the capacity: first in proportion to what each could make free by its
// own report, then to what each has above its own
// (entitlement.h), then above its minimum.
#pragma once
#include <span>
#include <vector>

#include "policy/strategy.h"

namespace tmem::policy {

enum class Bound : uint8_t {
  kNone,
  kMinimum,    // the guest's own
  kMaximum,    // the guest's own
  kHost,       // the host has no more
  kStale,      // no report that could be trusted: the last target is held, up to its share
  kNoBalloon,  // it has no balloon driver: what it has is left to it
  kUnchanged,  // too small a change to bother the guest
};
const char* name_of(Bound bound);

struct BoundedTarget {
  GuestId id{};
  uint64_t target_bytes = 0;
  Bound bound = Bound::kNone;
  const char* reason = "";
};

// Only bound() makes one that is not empty.
class BoundedPlan {
 public:
  BoundedPlan() = default;
  std::span<const BoundedTarget> targets() const { return targets_; }

 private:
  friend BoundedPlan bound(const HostView& host, std::span<const Estimate> estimates,
                           const Plan& plan);
  std::vector<BoundedTarget> targets_;
};

// What there is for guests.
uint64_t capacity_bytes(const HostView& host);

// One target for each estimate, in its order.
BoundedPlan bound(const HostView& host, std::span<const Estimate> estimates, const Plan& plan);

}  // namespace tmem::policy
