// SPDX-License-Identifier: LGPL-2.1-or-later
// Time as a dependency: the daemon passes SteadyClock, tests pass a ManualClock they advance.
#pragma once
#include <time.h>

#include <atomic>
#include <cstdint>

namespace tmem {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since an arbitrary start; never decreases. Any thread.
  virtual uint64_t now_ms() const = 0;
};

// The coarse monotonic clock: steps of a timer tick (4 ms), 5 ns a call.
class SteadyClock final : public Clock {
 public:
  uint64_t now_ms() const override {
    timespec now{};
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000 +
           static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
  }
};

class ManualClock final : public Clock {
 public:
  uint64_t now_ms() const override { return now_ms_.load(); }
  void advance_ms(uint64_t step_ms) { now_ms_ += step_ms; }

 private:
  std::atomic<uint64_t> now_ms_{1};
};

}  // namespace tmem
