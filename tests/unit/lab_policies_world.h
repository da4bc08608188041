// SPDX-License-Identifier: GPL-2.0-or-later
// Small hosts for the tests of the policy simulation, and a strategy that holds fixed targets.
#pragma once
#include <vector>

#include "tools/lab/policies/sim_host.h"

namespace tmem::lab::policies {

constexpr uint64_t mib_pages(uint64_t mib) {
  return mib * kMiB / kPageBytes;
}

// A target for each guest, from the first tick on.
class FixedTargets final : public policy::Strategy {
 public:
  explicit FixedTargets(std::vector<uint64_t> targets_mib) : targets_mib_(std::move(targets_mib)) {}
  std::string_view name() const override { return "fixed"; }
  uint32_t period_ms() const override { return 1000; }
  policy::Plan plan(const policy::HostView& /*host*/,
                    std::span<const policy::Estimate> estimates) override {
    seen_.assign(estimates.begin(), estimates.end());
    policy::Plan plan;
    for (size_t i = 0; i < estimates.size(); ++i)
      plan.wishes.push_back({estimates[i].facts.id, targets_mib_[i] * kMiB, "fixed"});
    return plan;
  }
  void set(std::vector<uint64_t> targets_mib) { targets_mib_ = std::move(targets_mib); }
  const std::vector<policy::Estimate>& seen() const { return seen_; }

 private:
  std::vector<uint64_t> targets_mib_;
  std::vector<policy::Estimate> seen_;
};

// A guest of 256 MiB, 16 of them the kernel's.
inline GuestScript small_guest(std::vector<Region> regions, std::vector<Event> events = {}) {
  GuestScript guest;
  guest.max_pages = mib_pages(256);
  guest.kernel_pages = mib_pages(16);
  guest.min_pages = mib_pages(24);
  guest.regions = std::move(regions);
  guest.events = std::move(events);
  return guest;
}

inline Scenario small_scenario(std::vector<GuestScript> guests, uint64_t host_mib) {
  Scenario scenario;
  scenario.name = "test";
  scenario.family = "test";
  scenario.seed = 7;
  scenario.duration_ms = 180'000;
  scenario.host_pages = mib_pages(host_mib);
  scenario.guests = std::move(guests);
  return scenario;
}

// `mib` of memory that is touched each half to two seconds.
inline Region hot(Kind kind, uint32_t mib) {
  return {kind, mib / 4, 500, 2000, true, false};
}

inline RunResult run_fixed(const Scenario& scenario, std::vector<uint64_t> targets_mib,
                           bool with_pool, const Constants& constants = {}) {
  FixedTargets strategy(std::move(targets_mib));
  return SimHost(scenario, constants, strategy, with_pool).run();
}

}  // namespace tmem::lab::policies
