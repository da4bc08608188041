// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's agent as dom0 sees it: what its node says, and when PSI's trigger has it written
// anew.
#pragma once
#include <array>
#include <optional>
#include <string>

#include "policy/strategy.h"
#include "tools/lab/policies/sim_guest.h"
#include "tools/tmem-guestd/shrink_law.h"

namespace tmem::lab::policies {

class Agent {
 public:
  Agent(const GuestScript& script, const AgentConstants& constants,
        const policy::Strategy& strategy);

  // After each tick of the guest: writes `node` when a report is due, or urgent. True: it is
  // urgent.
  bool observe(const SimGuest& guest, uint32_t tick, std::optional<std::string>& node);
  // Self-shrinking, with a pool, each second: by tmem-guestd's own law.
  void self_shrink(SimGuest& guest, uint64_t held_pages, uint32_t tick);

 private:
  bool trigger_fires(double some_us, uint32_t now_ms);
  bool is_due(const SimGuest& guest, uint32_t now_ms);
  bool is_due_to_another(const SimGuest& guest, uint32_t now_ms) const;
  bool moved(const policy::Sample& now) const;
  policy::Sample read(const SimGuest& guest, uint32_t now_ms) const;

  const GuestScript& script_;
  const AgentConstants& constants_;
  const bool is_ours_;  // tmem-guestd, which is silent while nothing changes
  const uint32_t period_ms_;
  uint64_t sequence_ = 0;
  uint64_t urgent_ = 0;
  uint64_t reported_bytes_ = 0;  // in use, at the last report
  uint32_t reported_ms_ = 0;
  uint32_t active_until_ms_ = 0;
  policy::Sample reported_;

  std::array<double, 8> window_us_{};  // `some` of the last ticks
  uint32_t window_at_ = 0;
  uint32_t fired_ms_ = 0;
  uint32_t fired_count_ = 0;
  uint32_t quiet_until_ms_ = 0;

  ShrinkLaw shrink_;
  bool alarmed_ = false;  // since shrink_ looked last
};

}  // namespace tmem::lab::policies
