// SPDX-License-Identifier: GPL-2.0-or-later
// A lock for short sections (tens of nanoseconds to a few microseconds): spins briefly, then
// sleeps, so that a preempted holder gets the CPU. Meets Lockable.
// Algorithm: U. Drepper, "Futexes are tricky", mutex 2, with a spin phase.
#pragma once
#include <atomic>

namespace tmem::store {

class SpinLock {
 public:
  void lock() {
    int expected = kFree;
    if (state_.compare_exchange_strong(expected, kTaken, std::memory_order_acquire)) return;
    lock_contended();
  }
  bool try_lock() {
    int expected = kFree;
    return state_.compare_exchange_strong(expected, kTaken, std::memory_order_acquire);
  }
  void unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kAwaited) state_.notify_one();
  }

 private:
  static constexpr int kFree = 0;
  static constexpr int kTaken = 1;
  static constexpr int kAwaited = 2;  // taken, and someone may sleep
  static constexpr unsigned kSpinsMax = 200;

  void lock_contended() {
    for (unsigned spin = 0; spin < kSpinsMax; ++spin) {
      if (state_.load(std::memory_order_relaxed) == kFree && try_lock()) return;
      __builtin_ia32_pause();
    }
    while (state_.exchange(kAwaited, std::memory_order_acquire) != kFree)
      state_.wait(kAwaited, std::memory_order_relaxed);
  }

  std::atomic<int> state_{kFree};
};

}  // namespace tmem::store
