// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's agent as dom0 sees it: what it reports, when, and what its PSI trigger says. And what
// a strategy is shown of it: the estimate.
#pragma once
#include <array>
#include <optional>

#include "policy/estimate.h"
#include "tools/lab/policies/sim_guest.h"

namespace tmem::lab::policies {

class Agent {
 public:
  Agent(const GuestScript& script, const AgentConstants& constants, uint32_t period_ms)
      : script_(script), constants_(constants), period_ms_(period_ms) {}

  // After each tick of the guest: a report when it is due, or urgent.
  void observe(const SimGuest& guest, uint32_t tick);
  // Fills what concerns the guest's word and the rates; facts are set already.
  void fill(policy::Estimate& estimate, uint32_t now_ms);

 private:
  bool trigger_fires(double some_us, uint32_t now_ms);
  policy::Sample read(const SimGuest& guest, uint32_t now_ms) const;

  const GuestScript& script_;
  const AgentConstants& constants_;
  const uint32_t period_ms_;
  std::optional<policy::Sample> newest_;
  std::optional<policy::Sample> shown_;  // at the tick before
  policy::PoolUse pool_shown_;
  uint32_t shown_ms_ = 0;
  policy::Rates rates_;
  bool urgent_ = false;
  uint64_t sequence_ = 0;

  std::array<double, 8> window_us_{};  // `some` of the last ticks
  uint32_t window_at_ = 0;
  uint32_t fired_ms_ = 0;
  uint32_t fired_count_ = 0;
  uint32_t quiet_until_ms_ = 0;
};

}  // namespace tmem::lab::policies
