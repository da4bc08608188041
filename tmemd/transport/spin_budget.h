// SPDX-License-Identifier: GPL-2.0-or-later
// How long a worker may spin for the next request before it sleeps: a token bucket that keeps
// fruitless spinning under 5 % of a CPU in any second (burst 10 ms + refill 40 ms a second).
#pragma once
#include <algorithm>
#include <cstdint>

namespace tmem::transport {

inline constexpr uint64_t kSpinMaxNs = 20'000;  // after the last request
inline constexpr uint64_t kSpinBurstNs = 10'000'000;
inline constexpr uint64_t kSpinRefillDivisor = 25;  // 1 / 25 = 4 % of the time that passes

class SpinBudget {
 public:
  explicit SpinBudget(uint64_t now_ns) : refilled_at_ns_(now_ns), left_ns_(kSpinBurstNs) {}

  // True if there is time left for a spin of full length at `now_ns`.
  bool allows(uint64_t now_ns) {
    const uint64_t earned_ns = (now_ns - refilled_at_ns_) / kSpinRefillDivisor;
    refilled_at_ns_ += earned_ns * kSpinRefillDivisor;
    left_ns_ = std::min(kSpinBurstNs, left_ns_ + earned_ns);
    return left_ns_ >= kSpinMaxNs;
  }

  void charge(uint64_t spun_ns) { left_ns_ -= std::min(left_ns_, spun_ns); }

 private:
  uint64_t refilled_at_ns_;
  uint64_t left_ns_;
};

}  // namespace tmem::transport
