// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/handover.h"

#include <algorithm>

#include "policy/estimator.h"

namespace tmem::arbiter {

void Handover::told_to_take(uint64_t now_ms) {
  owner_ = Owner::kGuest;
  acknowledged_ = false;
  told_ms_ = now_ms;
}

void Handover::told_to_return(uint64_t now_ms) {
  owner_ = Owner::kReturning;
  told_ms_ = now_ms;
}

void Handover::note_report(const policy::Estimate& estimate, uint64_t now_ms) {
  if (owner_ == Owner::kHost) return;
  uint64_t heard_ms = told_ms_;
  if (estimate.sample) {
    const uint64_t came_ms = now_ms - std::min(now_ms, estimate.sample_age_ms);
    const bool newer = came_ms > told_ms_;
    if (newer) heard_ms = came_ms;
    if (owner_ == Owner::kGuest) {
      if (newer) acknowledged_ = estimate.sample->balloons_itself;
      return;
    }
    if (newer && !estimate.sample->balloons_itself) owner_ = Owner::kHost;
  }
  if (owner_ == Owner::kReturning && now_ms - heard_ms > policy::kReportStaleMs)
    owner_ = Owner::kHost;
}

const char* name_of(Handover::Owner owner) {
  switch (owner) {
    case Handover::Owner::kHost:
      return "host";
    case Handover::Owner::kGuest:
      return "guest";
    case Handover::Owner::kReturning:
      return "returning";
  }
  return "";
}

}  // namespace tmem::arbiter
