// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/baselines/common.h"

#include <algorithm>

namespace tmem::policy::baselines {
namespace {

struct Claim {
  Wish* wish = nullptr;
  uint64_t min_bytes = 0;    // or its wish, if that is less
  uint64_t extra_bytes = 0;  // of the wish, above that
  double weight = 0;
};

// Shares `bytes` by weight; what one does not need goes to the others.
void share(uint64_t bytes, std::vector<Claim> claims) {
  auto rest_bytes = static_cast<double>(bytes);
  double weights = 0;
  for (const Claim& claim : claims) weights += claim.weight;
  // In this order a claim that is met leaves no less to each of those after it.
  std::sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
    return static_cast<double>(a.extra_bytes) * b.weight <
           static_cast<double>(b.extra_bytes) * a.weight;
  });
  for (const Claim& claim : claims) {
    const double share_bytes = weights > 0 ? rest_bytes * claim.weight / weights : 0;
    const double got_bytes = std::min(static_cast<double>(claim.extra_bytes), share_bytes);
    claim.wish->target_bytes = claim.min_bytes + static_cast<uint64_t>(got_bytes);
    rest_bytes -= got_bytes;
    weights -= claim.weight;
  }
}

}  // namespace

void clamp_by_weight(const HostView& host, std::span<const Estimate> estimates, Plan& plan) {
  uint64_t room_bytes = minus_or_zero(free_bytes(host), host.head_room_bytes);
  uint64_t wished_bytes = 0;
  uint64_t minimum_bytes = 0;
  std::vector<Claim> claims;
  for (const Estimate& estimate : estimates) {
    const GuestFacts& facts = estimate.facts;
    room_bytes += facts.actual_bytes;
    const auto wish = std::find_if(plan.wishes.begin(), plan.wishes.end(),
                                   [&](const Wish& w) { return w.id == facts.id; });
    if (wish == plan.wishes.end()) {
      room_bytes = minus_or_zero(room_bytes, std::max(facts.target_bytes, facts.actual_bytes));
      continue;
    }
    const uint64_t min_bytes = std::min(facts.settings.min_bytes, wish->target_bytes);
    claims.push_back({&*wish, min_bytes, wish->target_bytes - min_bytes,
                      static_cast<double>(facts.settings.share_weight())});
    wished_bytes += wish->target_bytes;
    minimum_bytes += min_bytes;
  }
  if (wished_bytes > room_bytes) share(minus_or_zero(room_bytes, minimum_bytes), std::move(claims));
}

}  // namespace tmem::policy::baselines
