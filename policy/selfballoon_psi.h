// SPDX-License-Identifier: GPL-2.0-or-later
// Our strategy, in two steps: what each guest needs (need.h), and who gets how much of the host.
//
// A guest's numbers are hints. Up to its entitlement (its weight's share of the host) a guest gets
// what it says it needs. Above it, where the host has a pool, only as much more as the pool itself
// has seen: pages that it holds for the guest, and pages that it gave back to it of late. So a liar
// gets what is its own anyway, and who really lacks memory borrows what others leave. Others leave
// more while they hurt much less than who lacks most, up to a pressure that is still small.
//
// The knob is the pressure that is held for harmless: PSI `some`, as a share of time.
#pragma once
#include <map>

#include "policy/need.h"
#include "policy/strategy.h"

namespace tmem::policy {

class SelfballoonPsi final : public Strategy {
 public:
  explicit SelfballoonPsi(double some_ratio) : some_ratio_(some_ratio) {}
  std::string_view name() const override { return "selfballoon+psi"; }
  uint32_t period_ms() const override { return 1000; }
  bool wants_urgent() const override { return true; }
  Plan plan(const HostView& host, std::span<const Estimate> estimates) override;

 private:
  double yielding_some(std::span<const Estimate> estimates,
                       const std::vector<uint64_t>& entitled) const;

  const double some_ratio_;
  std::map<GuestId, GuestNeed> needs_;
  uint64_t planned_ms_ = 0;
};

std::unique_ptr<Strategy> make_selfballoon_psi(double some_ratio);

}  // namespace tmem::policy
