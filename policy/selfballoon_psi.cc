// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/selfballoon_psi.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "libtmem/base/units.h"
#include "policy/guard.h"
#include "policy/shares.h"

namespace tmem::policy {
namespace {

constexpr double kNoCushionSome = 0.001;
constexpr double kCushionDecades = 1.5;
// What lies in a pool is of use to all.
constexpr double kCushionPoolPart = 0.3;

// What others' wishes cannot take: of who never reported, all it has, for nobody knows what it
// could do without. (A host that is short asks it all the same: guard.h.) Who falls silent later
// may have borrowed what it has, and keeps its share.
uint64_t held_bytes(const Estimate& estimate) {
  if (estimate.report != ReportState::kNone) return 0;
  return std::min(estimate.facts.target_bytes, estimate.facts.settings.max_bytes);
}

Claim claim_of(const Estimate& estimate, uint64_t wanted_bytes) {
  const GuestSettings& settings = estimate.facts.settings;
  const uint64_t most = std::max(settings.max_bytes, settings.min_bytes);
  return {settings.min_bytes, std::clamp(wanted_bytes, settings.min_bytes, most),
          settings.share_weight(), settings.priority};
}

// The share of each if all wanted all they can get.
std::vector<uint64_t> entitlements(std::span<const Estimate> estimates, uint64_t capacity) {
  std::vector<Claim> claims;
  for (const Estimate& estimate : estimates) {
    claims.push_back(claim_of(estimate, estimate.facts.settings.max_bytes));
    claims.back().priority = 0;
  }
  return share(claims, capacity);
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

Plan SelfballoonPsi::plan(const HostView& host, std::span<const Estimate> estimates) {
  const uint64_t elapsed_ms = planned_ms_ == 0 ? 0 : host.now_ms - planned_ms_;
  planned_ms_ = host.now_ms;
  const uint64_t capacity = capacity_bytes(host);
  const std::vector<uint64_t> entitled = entitlements(estimates, capacity);
  std::map<GuestId, GuestNeed> kept;
  uint64_t needed_bytes = 0;
  for (const Estimate& estimate : estimates) {
    GuestNeed& need = kept[estimate.facts.id];
    if (const auto known = needs_.find(estimate.facts.id); known != needs_.end())
      need = known->second;
    need.update(estimate, some_ratio_, elapsed_ms);
    needed_bytes += need.bytes();
  }
  std::vector<Claim> claims;
  for (size_t i = 0; i < estimates.size(); ++i) {
    const Estimate& estimate = estimates[i];
    GuestNeed& need = kept[estimate.facts.id];
    if (needed_bytes > capacity) need.yield(estimate.facts.settings, elapsed_ms);
    uint64_t wanted = need.bytes();
    if (host.pool_held_bytes > 0) {
      const uint64_t proven =
          need.proven_bytes() + estimate.facts.pool.persistent_pages * kPageBytes;
      wanted = std::min(wanted, std::max(entitled[i] + proven, estimate.facts.settings.min_bytes));
    }
    claims.push_back(claim_of(estimate, wanted));
    Claim& claim = claims.back();
    claim.least_bytes = std::max(claim.least_bytes, held_bytes(estimate));
    claim.wanted_bytes = std::max(claim.wanted_bytes, claim.least_bytes);
  }
  needs_.swap(kept);
  std::vector<uint64_t> given = share(claims, capacity);
  add_cushions(estimates, capacity,
               cushion_ratio(some_ratio_) * (host.pool_held_bytes > 0 ? kCushionPoolPart : 1),
               given);
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
