// SPDX-License-Identifier: GPL-2.0-or-later
// How long a queue rests after notifications that nobody asked for: they cost dom0 an interrupt and
// a thread's waking each, and the queue that asks for the next one gets it at once. Weighed against
// the others, not counted in a row: a guest that posts between them sends as many.
#pragma once
#include <algorithm>
#include <cstdint>

namespace tmem::transport {

inline constexpr uint64_t kRestMinNs = 100'000;
inline constexpr uint64_t kRestMaxNs = 10'000'000;

// One queue's score.
class UnaskedEvents {
 public:
  // A notification came. Returns for how long the queue is to rest before it asks for the next
  // one: 0 for one that was asked for, and while others outweigh those that were not.
  uint64_t note(bool asked_for) {
    if (asked_for) {
      score_ -= std::min(score_, 1u);
      return 0;
    }
    score_ = std::min(score_ + kWeight, kScoreMax);
    if (score_ <= kFree) return 0;
    return std::min(kRestMinNs << ((score_ - kFree - 1) / kWeight), kRestMaxNs);
  }

 private:
  // A guest that keeps to the protocol sends none (ring_test); others are forgiven one of nine.
  static constexpr uint32_t kWeight = 8;
  static constexpr uint32_t kFree = 16 * kWeight;
  static constexpr uint32_t kScoreMax = kFree + 8 * kWeight;  // the longest rest

  uint32_t score_ = 0;
};

}  // namespace tmem::transport
