// SPDX-License-Identifier: GPL-2.0-or-later
// Who sets a guest's balloon: tmemd, or the guest's own agent. One of them at a time.
//
//   host ── tmem/mode = guest ──► guest ── tmem/mode = host ──► returning ──► host
//
// tmemd writes no memory/target from the moment it hands the balloon over. It does again once a
// report that came after the order to return says so (mode=0), or none came for 30 s.
#pragma once
#include <cstdint>
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
        told_ms_(now_ms) {}

  Owner owner() const { return owner_; }
  // In kGuest: a report of its agent has said so since.
  bool acknowledged() const { return acknowledged_; }
  bool host_may_write() const { return owner_ == Owner::kHost; }

  // After tmem/mode was written.
  void told_to_take(uint64_t now_ms);
  void told_to_return(uint64_t now_ms);
  // With the estimate of each tick.
  void note_report(const policy::Estimate& estimate, uint64_t now_ms);

 private:
  Owner owner_;
  bool acknowledged_ = false;
  uint64_t told_ms_;
};

const char* name_of(Handover::Owner owner);

}  // namespace tmem::arbiter
