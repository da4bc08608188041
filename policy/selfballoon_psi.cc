// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/selfballoon_psi.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "libtmem/base/units.h"
#include "policy/entitlement.h"
#include "policy/guard.h"

namespace tmem::policy {
namespace {

constexpr double kNoCushionSome = 0.001;
constexpr double kCushionDecades = 1.5;
// What lies in a pool is of use to all.
constexpr double kCushionPoolPart = 0.3;

// Decisions may have been off for hours; what was learned before says little of that time.
constexpr uint64_t kElapsedMaxMs = 5000;

// What others' wishes cannot take. Of who fell silent nothing: what another borrowed before is not
// its own.
uint64_t held_bytes(const Estimate& estimate, uint64_t entitled_bytes) {
  if (!never_reported(estimate)) return 0;
  const GuestFacts& facts = estimate.facts;
  return std::min(
      {facts.target_bytes, facts.settings.max_bytes, own_bytes(estimate, entitled_bytes)});
}

// Guests yield while they hurt less than this part of what the pool has seen another one hurt, and
// never beyond kYieldSomeMax: that much a neighbour can do to a guest that is within its share.
constexpr double kYieldPart = 0.25;
constexpr double kYieldSomeMax = 0.01;

// What is in no balloon's power: what such a guest says it needs moves nobody's memory.
bool is_fixed(const Estimate& estimate) {
  return !estimate.facts.can_balloon;
}

// What a guest has shown that it needs above its share.
uint64_t proven_bytes(const Estimate& estimate, const GuestNeed& need) {
  return need.proven_bytes() + estimate.facts.pool.persistent_pages * kPageBytes;
}

// What others have to reckon with: no more than the guest could be given.
uint64_t wanted_bytes(const HostView& host, const Estimate& estimate, const GuestNeed& need,
                      uint64_t entitled_bytes) {
  if (is_fixed(estimate)) return estimate.facts.actual_bytes;
  if (!host.has_pool) return need.bytes();
  return std::min(need.bytes(), std::max(entitled_bytes + proven_bytes(estimate, need),
                                         estimate.facts.settings.min_bytes));
}

// What a pool keeps of the memory when guests want all of it: compressed, it spares more reads
// there than in a guest. But no more than it has a use for: what it holds, and a little to grow.
constexpr double kPoolPart = 0.1;
constexpr uint64_t kPoolGrowthPart = 64;

// What there is for guests.
uint64_t shared_bytes(const HostView& host) {
  const uint64_t capacity = capacity_bytes(host);
  if (!host.has_pool) return capacity;
  const uint64_t pinned = minus_or_zero(host.pool_held_bytes, host.pool_freeable_bytes);
  const uint64_t all = capacity + pinned;
  const auto most = static_cast<uint64_t>(static_cast<double>(all) * kPoolPart);
  const uint64_t kept = std::min(most, host.pool_held_bytes + all / kPoolGrowthPart);
  return minus_or_zero(capacity, minus_or_zero(kept, pinned));
}

// Of what nobody needs: how much the guests get all the same, by how little pressure is held for
// harmless. At the default nothing: it is the pool's, or free.
double cushion_ratio(double some_ratio) {
  return std::clamp(std::log10(kNoCushionSome / some_ratio) / kCushionDecades, 0.0, 1.0);
}

void add_cushions(std::span<const Estimate> estimates, uint64_t capacity, double ratio,
                  std::vector<uint64_t>& given) {
  const uint64_t sum = std::accumulate(given.begin(), given.end(), uint64_t{0});
  const auto surplus =
      static_cast<uint64_t>(static_cast<double>(minus_or_zero(capacity, sum)) * ratio);
  if (surplus == 0) return;
  std::vector<Claim> claims;
  for (size_t i = 0; i < given.size(); ++i) {
    claims.push_back(claim_of(estimates[i], estimates[i].facts.settings.max_bytes));
    claims.back().least_bytes = std::min(given[i], claims.back().wanted_bytes);
    claims.back().priority = 0;
  }
  given = share(claims, sum + surplus);
}

}  // namespace

// How much pressure counts as harmless when others need more than there is.
double SelfballoonPsi::yielding_some(std::span<const Estimate> estimates,
                                     const std::vector<uint64_t>& entitled) const {
  double worst = 0;
  for (size_t i = 0; i < estimates.size(); ++i) {
    const GuestNeed& need = needs_.at(estimates[i].facts.id);
    const uint64_t allowed = entitled[i] + proven_bytes(estimates[i], need);
    if (std::min(need.bytes(), allowed) > estimates[i].facts.actual_bytes)
      worst = std::max(worst, need.proven_some());
  }
  return std::max(some_ratio_, std::min(kYieldSomeMax, worst * kYieldPart));
}

Plan SelfballoonPsi::plan(const HostView& host, std::span<const Estimate> estimates) {
  const uint64_t elapsed_ms =
      planned_ms_ == 0 ? 0 : std::min(host.now_ms - planned_ms_, kElapsedMaxMs);
  planned_ms_ = host.now_ms;
  const uint64_t capacity = shared_bytes(host);
  const std::vector<uint64_t> entitled = entitlements(estimates, capacity);
  std::map<GuestId, GuestNeed> kept;
  uint64_t needed_bytes = 0;
  for (size_t i = 0; i < estimates.size(); ++i) {
    const Estimate& estimate = estimates[i];
    GuestNeed& need = kept[estimate.facts.id];
    const auto known = needs_.find(estimate.facts.id);
    if (known != needs_.end()) need = known->second;
    need.update(estimate, some_ratio_, elapsed_ms);
    // What one borrowed before we looked it may keep for a while: the pool may have seen the need.
    if (known == needs_.end())
      need.set_borrowed(
          minus_or_zero(estimate.facts.actual_bytes, entitled[i] + proven_bytes(estimate, need)));
    needed_bytes += wanted_bytes(host, estimate, need, entitled[i]);
  }
  needs_.swap(kept);
  if (needed_bytes > capacity) {
    const double some_ratio = yielding_some(estimates, entitled);
    for (const Estimate& estimate : estimates)
      needs_.at(estimate.facts.id).yield(estimate.facts.settings, some_ratio, elapsed_ms);
  }
  std::vector<Claim> claims;
  for (size_t i = 0; i < estimates.size(); ++i) {
    const Estimate& estimate = estimates[i];
    const GuestNeed& need = needs_.at(estimate.facts.id);
    const uint64_t wanted = wanted_bytes(host, estimate, need, entitled[i]);
    claims.push_back(claim_of(estimate, wanted));
    Claim& claim = claims.back();
    if (is_fixed(estimate)) {
      claim.least_bytes = claim.wanted_bytes = wanted;
      continue;
    }
    claim.least_bytes = std::max(claim.least_bytes, held_bytes(estimate, entitled[i]));
    claim.wanted_bytes = std::max(claim.wanted_bytes, claim.least_bytes);
  }
  std::vector<uint64_t> given = share(claims, capacity);
  add_cushions(estimates, capacity,
               cushion_ratio(some_ratio_) * (host.has_pool ? kCushionPoolPart : 1), given);
  Plan plan;
  for (size_t i = 0; i < estimates.size(); ++i) {
    const GuestFacts& facts = estimates[i].facts;
    if (facts.can_balloon) plan.wishes.push_back({facts.id, given[i], needs_[facts.id].why()});
  }
  return plan;
}

std::unique_ptr<Strategy> make_selfballoon_psi(double some_ratio) {
  return std::make_unique<SelfballoonPsi>(some_ratio);
}

}  // namespace tmem::policy
