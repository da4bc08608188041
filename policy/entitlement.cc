// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/entitlement.h"

#include <algorithm>

namespace tmem::policy {

Claim claim_of(const Estimate& estimate, uint64_t wanted_bytes) {
  const GuestSettings& settings = estimate.facts.settings;
  const uint64_t most = std::max(settings.max_bytes, settings.min_bytes);
  return {settings.min_bytes, std::clamp(wanted_bytes, settings.min_bytes, most),
          settings.share_weight(), settings.priority};
}

std::vector<uint64_t> entitlements(std::span<const Estimate> estimates, uint64_t capacity_bytes) {
  std::vector<Claim> claims;
  for (const Estimate& estimate : estimates) {
    claims.push_back(claim_of(estimate, estimate.facts.settings.max_bytes));
    claims.back().priority = 0;
  }
  return share(claims, capacity_bytes);
}

bool never_reported(const Estimate& estimate) {
  return estimate.report == ReportState::kNone && !estimate.facts.has_reported;
}

uint64_t own_bytes(const Estimate& estimate, uint64_t entitled_bytes) {
  const uint64_t first_bytes = never_reported(estimate) ? estimate.facts.first_bytes : 0;
  return std::max({entitled_bytes, first_bytes, estimate.facts.settings.min_bytes});
}

}  // namespace tmem::policy
