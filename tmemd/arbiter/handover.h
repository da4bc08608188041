// SPDX-License-Identifier: GPL-2.0-or-later
// Who sets a guest's balloon: tmemd, or the guest's own agent. One of them at a time.
//
//   host ── tmem/mode = guest ──► guest ── tmem/mode = host ──► returning ──► host
//
// tmemd writes no memory/target from the moment it hands the balloon over. It does again once a
// report that came after the order to return says so (mode=0), at the latest 30 s after the order.
//
// An agent that is silent for 30 s, that reports for 30 s and does not take the balloon, or whose
// guest is above its bound for 20 s, cannot keep it, and does not get it again within ten minutes.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "policy/estimate.h"

namespace tmem::arbiter {

class Handover {
 public:
  enum class Owner : uint8_t { kHost, kGuest, kReturning };

  // `mode`: what tmem/mode says when the guest is first seen; an earlier tmemd may have written it,
  // and its agent may not have returned the balloon yet.
  Handover(std::string_view mode, uint64_t now_ms)
      : owner_(mode.empty()      ? Owner::kHost
               : mode == "guest" ? Owner::kGuest
                                 : Owner::kReturning),
        told_ms_(now_ms),
        heard_ms_(now_ms),
        taken_ms_(now_ms),
        within_ms_(now_ms) {}

  Owner owner() const { return owner_; }
  // In kGuest: a report of its agent has said so since.
  bool acknowledged() const { return acknowledged_; }
  bool host_may_write() const { return owner_ == Owner::kHost; }

  // After tmem/mode was written.
  void told_to_take(uint64_t now_ms);
  void told_to_return(uint64_t now_ms);
  // With the estimate of each tick. `ceiling_bytes`: the bound that the agent was told; 0: unknown.
  void note(const policy::Estimate& estimate, uint64_t ceiling_bytes, uint64_t now_ms);
  // In kGuest: why its agent cannot keep the balloon; null: it can.
  const char* fault() const { return fault_; }
  // Whether the balloon may be handed over: to an agent that reports, and was not at fault lately.
  bool may_take(const policy::Estimate& estimate, uint64_t now_ms) const;

 private:
  void note_fault(const policy::GuestFacts& facts, uint64_t ceiling_bytes, uint64_t now_ms);

  Owner owner_;
  bool acknowledged_ = false;
  const char* fault_ = nullptr;
  std::optional<uint64_t> fault_ms_;  // of the last one
  uint64_t told_ms_;
  uint64_t heard_ms_;   // in kGuest: when its agent last reported
  uint64_t taken_ms_;   // ... and last said that it sets the balloon; told_ms_: it has not
  uint64_t within_ms_;  // in kGuest: when it was last within its bound
};

const char* name_of(Handover::Owner owner);

}  // namespace tmem::arbiter
