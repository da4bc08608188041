// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/guard.h"

#include <algorithm>
#include <map>

#include "libtmem/base/units.h"
#include "policy/entitlement.h"
#include "policy/shares.h"
#include "policy/spare.h"

namespace tmem::policy {
namespace {

// Less growth is not worth waking a guest's balloon for. Little is lost for good: a strategy may
// wish for as little again, tick for tick, and a guest that reads a few hundred pages a second back
// has to get them.
constexpr uint64_t kGrowthMinBytes = 256 * kKiB;

uint64_t scaled(uint64_t value, uint64_t part, uint64_t whole) {
  return whole == 0 ? 0
                    : static_cast<uint64_t>(static_cast<unsigned __int128>(value) * part / whole);
}

// What the guest alone allows. On a report that cannot be believed nothing is taken of its share;
// what it has borrowed above that, it cannot keep by talking nonsense.
BoundedTarget within_own_bounds(const Estimate& estimate, const Wish* wish,
                                uint64_t entitled_bytes) {
  const GuestFacts& facts = estimate.facts;
  BoundedTarget target{facts.id, facts.target_bytes, Bound::kNone, ""};
  if (!facts.can_balloon) {
    target.target_bytes = facts.actual_bytes;
    target.bound = Bound::kNoBalloon;
    return target;
  }
  if (wish != nullptr) {
    target.target_bytes = wish->target_bytes;
    target.reason = wish->reason;
  } else if (!estimate.sample) {
    target.bound = Bound::kStale;
  }
  const bool incredible =
      estimate.report == ReportState::kMalformed || estimate.report == ReportState::kAbsurd;
  const uint64_t held_bytes = std::min(facts.target_bytes, entitled_bytes);
  if (incredible && target.target_bytes < held_bytes) {
    target.target_bytes = held_bytes;
    target.bound = Bound::kStale;
  }
  if (target.target_bytes < facts.settings.min_bytes) {
    target.target_bytes = facts.settings.min_bytes;
    target.bound = Bound::kMinimum;
  } else if (target.target_bytes > facts.settings.max_bytes) {
    target.target_bytes = facts.settings.max_bytes;
    target.bound = Bound::kMaximum;
  }
  return target;
}

// What is left when all is gone that the guest could make free, as it says.
uint64_t in_use_bytes(const Estimate& estimate) {
  if (!estimate.sample) return UINT64_MAX;
  const Sample& sample = *estimate.sample;
  const GuestFacts& facts = estimate.facts;
  const uint64_t free_bytes =
      minus_or_zero(spare_bytes(sample), spare_min_bytes(sample, facts.settings.max_bytes));
  return std::max(minus_or_zero(facts.actual_bytes, free_bytes), facts.settings.min_bytes);
}

// All give alike, relative to what they have above `least_bytes`. Returns what is missing then.
uint64_t take_above(std::span<const Estimate> estimates, const std::vector<uint64_t>& least_bytes,
                    uint64_t excess, std::vector<BoundedTarget>& targets) {
  uint64_t above = 0;
  for (size_t i = 0; i < targets.size(); ++i)
    if (estimates[i].facts.can_balloon)
      above += minus_or_zero(targets[i].target_bytes, least_bytes[i]);
  const uint64_t taken = std::min(excess, above);
  if (taken == 0) return excess;
  for (size_t i = 0; i < targets.size(); ++i) {
    if (!estimates[i].facts.can_balloon) continue;
    const uint64_t own = minus_or_zero(targets[i].target_bytes, least_bytes[i]);
    // Rounded up, so that the sum is not above the capacity.
    const uint64_t give = std::min(own, scaled(taken, own, above) + 1);
    if (give > 1) targets[i].bound = Bound::kHost;
    targets[i].target_bytes -= give;
  }
  return excess - taken;
}

// Nobody grows. First goes what can be made free, then what is above a share; then all suffer.
void force_back(std::span<const Estimate> estimates, uint64_t capacity,
                const std::vector<uint64_t>& entitled, std::vector<BoundedTarget>& targets) {
  uint64_t sum = 0;
  std::vector<uint64_t> in_use;
  std::vector<uint64_t> own;
  std::vector<uint64_t> minimum;
  for (size_t i = 0; i < targets.size(); ++i) {
    const GuestFacts& facts = estimates[i].facts;
    uint64_t& target = targets[i].target_bytes;
    if (facts.can_balloon && target > std::max(facts.actual_bytes, facts.settings.min_bytes)) {
      target = std::max(facts.actual_bytes, facts.settings.min_bytes);
      targets[i].bound = Bound::kHost;
    }
    sum += target;
    in_use.push_back(in_use_bytes(estimates[i]));
    own.push_back(own_bytes(estimates[i], entitled[i]));
    minimum.push_back(facts.settings.min_bytes);
  }
  uint64_t missing = minus_or_zero(sum, capacity);
  for (const auto* least_bytes : {&in_use, &own, &minimum})
    missing = take_above(estimates, *least_bytes, missing, targets);
}

void bound_growth(std::span<const Estimate> estimates, uint64_t left,
                  std::vector<BoundedTarget>& targets) {
  std::vector<Claim> claims;
  for (size_t i = 0; i < targets.size(); ++i) {
    const GuestSettings& settings = estimates[i].facts.settings;
    const uint64_t growth = minus_or_zero(targets[i].target_bytes, estimates[i].facts.actual_bytes);
    claims.push_back({0, growth, settings.share_weight(), settings.priority});
  }
  const std::vector<uint64_t> given = share(claims, left);
  for (size_t i = 0; i < targets.size(); ++i) {
    if (given[i] == claims[i].wanted_bytes) continue;
    targets[i].target_bytes = estimates[i].facts.actual_bytes + given[i];
    targets[i].bound = Bound::kHost;
  }
}

void drop_small_changes(std::span<const Estimate> estimates, std::vector<BoundedTarget>& targets) {
  for (size_t i = 0; i < targets.size(); ++i) {
    const uint64_t old = estimates[i].facts.target_bytes;
    BoundedTarget& target = targets[i];
    const bool fits = old >= estimates[i].facts.settings.min_bytes &&
                      old <= estimates[i].facts.settings.max_bytes;
    // Never upwards: the old target may not fit into the host any more.
    if (!fits || old > target.target_bytes || target.target_bytes - old >= kGrowthMinBytes)
      continue;
    if (target.target_bytes == old) continue;
    target.target_bytes = old;
    target.bound = Bound::kUnchanged;
  }
}

}  // namespace

const char* name_of(Bound bound) {
  switch (bound) {
    case Bound::kNone:
      return "none";
    case Bound::kMinimum:
      return "minimum";
    case Bound::kMaximum:
      return "maximum";
    case Bound::kHost:
      return "host";
    case Bound::kStale:
      return "stale";
    case Bound::kNoBalloon:
      return "no-balloon";
    case Bound::kUnchanged:
      return "unchanged";
  }
  return "";
}

uint64_t capacity_bytes(const HostView& host) {
  const uint64_t pinned = minus_or_zero(host.pool_held_bytes, host.pool_freeable_bytes);
  return minus_or_zero(
      minus_or_zero(minus_or_zero(host.total_bytes, host.head_room_bytes), host.claims_bytes),
      pinned);
}

BoundedPlan bound(const HostView& host, std::span<const Estimate> estimates, const Plan& plan) {
  std::map<GuestId, const Wish*> wishes;
  for (const Wish& wish : plan.wishes) wishes[wish.id] = &wish;
  BoundedPlan bounded;
  uint64_t actual = 0;
  const uint64_t capacity = capacity_bytes(host);
  const std::vector<uint64_t> entitled = entitlements(estimates, capacity);
  for (size_t i = 0; i < estimates.size(); ++i) {
    const auto wish = wishes.find(estimates[i].facts.id);
    bounded.targets_.push_back(within_own_bounds(
        estimates[i], wish == wishes.end() ? nullptr : wish->second, entitled[i]));
    actual += estimates[i].facts.actual_bytes;
  }
  if (actual > capacity)
    force_back(estimates, capacity, entitled, bounded.targets_);
  else
    bound_growth(estimates, capacity - actual, bounded.targets_);
  drop_small_changes(estimates, bounded.targets_);
  return bounded;
}

}  // namespace tmem::policy
