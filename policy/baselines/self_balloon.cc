// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/baselines/self_balloon.h"

#include <algorithm>

#include "libtmem/base/units.h"
#include "policy/baselines/common.h"

namespace tmem::policy::baselines {
namespace {

constexpr uint32_t kPeriodMs = 5000;        // selfballoon_interval
constexpr uint64_t kDownHysteresis = 8;     // selfballoon_downhysteresis
constexpr uint64_t kUpHysteresis = 1;       // selfballoon_uphysteresis
constexpr uint64_t kShrinkHysteresis = 20;  // frontswap_hysteresis
constexpr uint32_t kShrinkInertia = 3;      // frontswap_inertia, in periods

class SelfBalloon final : public Strategy {
 public:
  explicit SelfBalloon(double reserved_share) : reserved_share_(reserved_share) {}
  std::string_view name() const override { return "self-balloon"; }
  uint32_t period_ms() const override { return kPeriodMs; }

  Plan plan(const HostView& host, std::span<const Estimate> estimates) override {
    Plan plan;
    for (const Estimate& estimate : estimates)
      if (estimate.sample && estimate.facts.can_balloon)
        plan.wishes.push_back(
            {estimate.facts.id, target_bytes(estimate.facts, *estimate.sample), "committed"});
    clamp_by_weight(host, estimates, plan);
    return plan;
  }

 private:
  uint64_t target_bytes(const GuestFacts& facts, const Sample& sample) const {
    const uint64_t max_bytes = facts.settings.max_bytes;
    const uint64_t current_bytes = sample.total_bytes;
    const uint64_t goal_bytes =
        sample.committed_bytes + sample.reserve_bytes +
        static_cast<uint64_t>(reserved_share_ * static_cast<double>(max_bytes)) +
        facts.pool.persistent_pages * kPageBytes;
    uint64_t bytes = current_bytes;
    if (current_bytes > goal_bytes) bytes -= (current_bytes - goal_bytes) / kDownHysteresis;
    if (current_bytes < goal_bytes) bytes += (goal_bytes - current_bytes) / kUpHysteresis;
    bytes = std::max(bytes, self_balloon_floor_bytes(max_bytes, sample.reserve_bytes));
    const uint64_t beyond_total_bytes = minus_or_zero(facts.actual_bytes, current_bytes);
    return std::min(max_bytes, bytes + beyond_total_bytes);
  }

  const double reserved_share_;
};

}  // namespace

std::unique_ptr<Strategy> make_self_balloon(double reserved_share) {
  return std::make_unique<SelfBalloon>(reserved_share);
}

uint64_t self_balloon_floor_bytes(uint64_t max_bytes, uint64_t reserve_bytes) {
  const uint64_t useful_bytes = minus_or_zero(max_bytes, reserve_bytes);
  if (useful_bytes < 16 * kMiB) return max_bytes;
  if (useful_bytes < 64 * kMiB) return reserve_bytes + 16 * kMiB + (useful_bytes - 16 * kMiB) / 2;
  if (useful_bytes < 512 * kMiB) return reserve_bytes + 40 * kMiB + (useful_bytes - 40 * kMiB) / 8;
  return reserve_bytes + 99 * kMiB + (useful_bytes - 99 * kMiB) / 32;
}

uint64_t FrontswapShrink::next_pages(uint64_t current_pages) {
  const bool grew = current_pages > last_pages_;
  last_pages_ = current_pages;
  if (current_pages == 0 || grew) {
    inertia_ = kShrinkInertia;
    return current_pages;
  }
  if (inertia_ > 0 && --inertia_ > 0) return current_pages;
  inertia_ = kShrinkInertia;
  return current_pages <= kShrinkHysteresis ? 0 : current_pages - current_pages / kShrinkHysteresis;
}

}  // namespace tmem::policy::baselines
