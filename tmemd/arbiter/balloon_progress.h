// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a guest's balloon follows its target. A guest that was asked to go elsewhere and has not
// moved for 20 s is uncooperative: it is planned with what it has, until it moves.
#pragma once
#include <cstdint>

namespace tmem::arbiter {

inline constexpr uint64_t kStuckAfterMs = 20'000;

class BalloonProgress {
 public:
  // Once a tick. `asked`: somebody wants it to be at `target_bytes`. True: it has just become
  // uncooperative.
  bool note(uint64_t actual_bytes, uint64_t target_bytes, bool asked, uint64_t now_ms);
  bool stuck() const { return stuck_; }
  uint64_t times_stuck() const { return times_stuck_; }

 private:
  bool asked_ = false;
  bool stuck_ = false;
  uint64_t times_stuck_ = 0;
  uint64_t from_bytes_ = 0;  // where it was when it last came closer
  uint64_t closer_ms_ = 0;
};

}  // namespace tmem::arbiter
