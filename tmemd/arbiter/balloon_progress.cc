// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/balloon_progress.h"

#include <algorithm>

#include "libtmem/base/units.h"

namespace tmem::arbiter {
namespace {

constexpr uint64_t kStepBytes = 256 * kKiB;

// Xen counts some pages that the guest does not, and the other way round.
bool arrived(uint64_t actual_bytes, uint64_t target_bytes) {
  const uint64_t slack_bytes = std::max(4 * kMiB, target_bytes / 64);
  return std::max(actual_bytes, target_bytes) - std::min(actual_bytes, target_bytes) <= slack_bytes;
}

}  // namespace

bool BalloonProgress::note(uint64_t actual_bytes, uint64_t target_bytes, bool asked,
                           uint64_t now_ms) {
  if (!asked || arrived(actual_bytes, target_bytes)) {
    asked_ = stuck_ = false;
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
    stuck_ = false;
    closer_ms_ = now_ms;
  }
  if (closer_ms_ == now_ms || away) from_bytes_ = actual_bytes;
  if (stuck_ || now_ms - closer_ms_ < kStuckAfterMs) return false;
  stuck_ = true;
  ++times_stuck_;
  return true;
}

}  // namespace tmem::arbiter
