// SPDX-License-Identifier: LGPL-2.1-or-later
// Time as a dependency: the daemon passes SteadyClock, tests pass a ManualClock they advance.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>

namespace tmem {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since an arbitrary start; never decreases. Any thread.
  virtual uint64_t now_ms() const = 0;
};

class SteadyClock final : public Clock {
 public:
  uint64_t now_ms() const override {
    const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(since_start).count());
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
