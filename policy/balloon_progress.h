// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a guest's balloon follows its target. A guest that was asked to go elsewhere and has not
// come closer for 20 s is uncooperative, in one of two ways:
//
//   stuck: it is planned with what it has, until it moves. A target above that is given up, so that
//          others can have the memory, and it is asked again a minute later.
//   over:  it has more than it was ever given: it took memory from Xen by itself. That is not
//          counted as its own; it is planned like everybody.
#pragma once
#include <cstdint>
#include <optional>

namespace tmem::policy {

inline constexpr uint64_t kStuckAfterMs = 20'000;
inline constexpr uint64_t kAskAgainMs = 60'000;

// Xen counts some pages that the guest does not, and the other way round.
uint64_t balloon_slack_bytes(uint64_t target_bytes);

class BalloonProgress {
 public:
  // Once a tick. `asked`: somebody wants it to be at `target_bytes`. True: it has just become
  // uncooperative.
  bool note(uint64_t actual_bytes, uint64_t target_bytes, bool asked, uint64_t now_ms);
  // Its target has been set to what it has.
  void give_up(uint64_t now_ms) { given_up_ms_ = now_ms; }

  bool uncooperative() const { return uncooperative_; }
  bool stuck() const { return uncooperative_ && over_bytes_ == 0; }
  // What it has above all that it was given.
  uint64_t over_bytes() const { return over_bytes_; }
  uint64_t times_uncooperative() const { return times_uncooperative_; }

 private:
  void note_given(uint64_t actual_bytes, uint64_t target_bytes);
  // The target was given up, and it has not moved since.
  bool rests(uint64_t actual_bytes, uint64_t now_ms);

  bool asked_ = false;
  bool uncooperative_ = false;
  uint64_t times_uncooperative_ = 0;
  uint64_t from_bytes_ = 0;  // where it was when it last came closer
  uint64_t closer_ms_ = 0;
  std::optional<uint64_t> given_up_ms_;
  std::optional<uint64_t> given_bytes_;  // at least its target, at most what it has had since
  uint64_t over_bytes_ = 0;
};

}  // namespace tmem::policy
