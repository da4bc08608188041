// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/balloon_progress.h"

#include <algorithm>

#include "libtmem/base/units.h"

namespace tmem::policy {
namespace {

constexpr uint64_t kStepBytes = 256 * kKiB;

uint64_t distance(uint64_t one, uint64_t other) {
  return std::max(one, other) - std::min(one, other);
}

}  // namespace

uint64_t balloon_slack_bytes(uint64_t target_bytes) {
  return std::max(4 * kMiB, target_bytes / 64);
}

// What it had when it was first seen counts as given.
void BalloonProgress::note_given(uint64_t actual_bytes, uint64_t target_bytes) {
  given_bytes_ =
      std::max(target_bytes, std::min(given_bytes_.value_or(actual_bytes), actual_bytes));
  const uint64_t more_bytes = minus_or_zero(actual_bytes, *given_bytes_);
  over_bytes_ = more_bytes > balloon_slack_bytes(target_bytes) ? more_bytes : 0;
}

bool BalloonProgress::rests(uint64_t actual_bytes, uint64_t now_ms) {
  if (!given_up_ms_) return false;
  if (now_ms - *given_up_ms_ < kAskAgainMs && distance(actual_bytes, from_bytes_) < kStepBytes)
    return true;
  given_up_ms_.reset();
  return false;
}

bool BalloonProgress::note(uint64_t actual_bytes, uint64_t target_bytes, bool asked,
                           uint64_t now_ms) {
  note_given(actual_bytes, target_bytes);
  if (rests(actual_bytes, now_ms)) return false;
  if (!asked || distance(actual_bytes, target_bytes) <= balloon_slack_bytes(target_bytes)) {
    asked_ = uncooperative_ = false;
    return false;
  }
  // By where the balloon goes, not by the distance: targets move too.
  const bool up = target_bytes > actual_bytes;
  const bool closer =
      up ? actual_bytes >= from_bytes_ + kStepBytes : actual_bytes + kStepBytes <= from_bytes_;
  const bool away =
      up ? actual_bytes + kStepBytes <= from_bytes_ : actual_bytes >= from_bytes_ + kStepBytes;
  if (!asked_ || closer) {
    asked_ = true;
    uncooperative_ = false;
    closer_ms_ = now_ms;
  }
  if (closer_ms_ == now_ms || away) from_bytes_ = actual_bytes;
  if (uncooperative_ || now_ms - closer_ms_ < kStuckAfterMs) return false;
  uncooperative_ = true;
  ++times_uncooperative_;
  return true;
}

}  // namespace tmem::policy
