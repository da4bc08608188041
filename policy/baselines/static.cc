// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/baselines/static.h"

#include <algorithm>

#include "policy/baselines/common.h"

namespace tmem::policy::baselines {
namespace {

constexpr uint32_t kPeriodMs = 10'000;
constexpr const char* kReason = "static";

class ShareOfMax final : public Strategy {
 public:
  explicit ShareOfMax(double share) : share_(share) {}
  std::string_view name() const override { return "static"; }
  uint32_t period_ms() const override { return kPeriodMs; }

  Plan plan(const HostView& host, std::span<const Estimate> estimates) override {
    double wanted_bytes = 0;
    for (const Estimate& estimate : estimates)
      wanted_bytes += share_ * static_cast<double>(estimate.facts.settings.max_bytes);
    const auto room_bytes =
        static_cast<double>(minus_or_zero(host.total_bytes, host.head_room_bytes));
    const double fits = wanted_bytes > room_bytes ? room_bytes / wanted_bytes : 1;
    Plan plan;
    for (const Estimate& estimate : estimates) {
      const GuestSettings& settings = estimate.facts.settings;
      const double bytes = share_ * fits * static_cast<double>(settings.max_bytes);
      plan.wishes.push_back(
          {estimate.facts.id, std::max(settings.min_bytes, static_cast<uint64_t>(bytes)), kReason});
    }
    return plan;
  }

 private:
  const double share_;
};

class GivenSplit final : public Strategy {
 public:
  explicit GivenSplit(Split split) : split_(std::move(split)) {}
  std::string_view name() const override { return "best-static"; }
  uint32_t period_ms() const override { return kPeriodMs; }

  Plan plan(const HostView& /*host*/, std::span<const Estimate> estimates) override {
    Plan plan;
    for (const Estimate& estimate : estimates)
      if (const auto share = split_.find(estimate.facts.id); share != split_.end())
        plan.wishes.push_back({share->first, share->second, kReason});
    return plan;
  }

 private:
  const Split split_;
};

}  // namespace

std::unique_ptr<Strategy> make_static(double share_of_max) {
  return std::make_unique<ShareOfMax>(share_of_max);
}
std::unique_ptr<Strategy> make_static(Split split) {
  return std::make_unique<GivenSplit>(std::move(split));
}

}  // namespace tmem::policy::baselines
