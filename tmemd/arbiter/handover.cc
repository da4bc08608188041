// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/handover.h"

#include <algorithm>

#include "policy/balloon_progress.h"
#include "policy/estimator.h"

namespace tmem::arbiter {
namespace {

constexpr uint64_t kReturnMs = 30'000;
constexpr uint64_t kTakeMs = 30'000;
constexpr uint64_t kAboveMs = 20'000;
constexpr uint64_t kForgiveMs = 600'000;

}  // namespace

void Handover::told_to_take(uint64_t now_ms) {
  owner_ = Owner::kGuest;
  acknowledged_ = false;
  told_ms_ = heard_ms_ = taken_ms_ = within_ms_ = now_ms;
}

void Handover::told_to_return(uint64_t now_ms) {
  owner_ = Owner::kReturning;
  told_ms_ = now_ms;
  if (fault_ != nullptr) fault_ms_ = now_ms;
  fault_ = nullptr;
}

void Handover::note(const policy::Estimate& estimate, uint64_t ceiling_bytes, uint64_t now_ms) {
  const uint64_t came_ms = now_ms - std::min(now_ms, estimate.sample_age_ms);
  const bool newer = estimate.sample && came_ms > told_ms_;
  if (owner_ == Owner::kGuest) {
    if (newer) {
      heard_ms_ = std::max(heard_ms_, came_ms);
      acknowledged_ = estimate.sample->balloons_itself;
      if (acknowledged_) taken_ms_ = heard_ms_;
    }
    note_fault(estimate.facts, ceiling_bytes, now_ms);
  }
  const bool let_go = newer && !estimate.sample->balloons_itself;
  if (owner_ == Owner::kReturning && (let_go || now_ms - told_ms_ > kReturnMs))
    owner_ = Owner::kHost;
}

void Handover::note_fault(const policy::GuestFacts& facts, uint64_t ceiling_bytes,
                          uint64_t now_ms) {
  const uint64_t most_bytes = ceiling_bytes + policy::balloon_slack_bytes(ceiling_bytes);
  if (ceiling_bytes == 0 || facts.actual_bytes <= most_bytes) within_ms_ = now_ms;
  if (now_ms - heard_ms_ > policy::kReportStaleMs)
    fault_ = "its agent is silent";
  else if (heard_ms_ > taken_ms_ && now_ms - taken_ms_ > kTakeMs)
    fault_ = "its agent does not take it";
  else if (now_ms - within_ms_ >= kAboveMs)
    fault_ = "it has been above its bound for 20 s";
}

bool Handover::may_take(const policy::Estimate& estimate, uint64_t now_ms) const {
  return estimate.sample && (!fault_ms_ || now_ms - *fault_ms_ >= kForgiveMs);
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
