// SPDX-License-Identifier: LGPL-2.1-or-later
// For threads of background work, which others must not wait for.
//
// Low priority is not enough. Who is preempted while it holds a lock keeps it until the scheduler
// gives it the CPU again: on a busy CPU after some hundred milliseconds at the lowest priority, in
// which all who need the lock stand still. And who is not preempted keeps the CPU until the next
// tick, which is milliseconds, though a thread of higher priority has woken up. So such a thread
// has a priority not too far below the others', and gives the CPU away by itself where it holds
// no lock that others wait for, more often than it would be preempted.
#pragma once
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <utility>

#include "libtmem/base/monotonic.h"

namespace tmem {

// Lowers the priority of the calling thread, and lets it sleep for less than 50 us. Without the
// right to do so it goes on as it was.
inline void become_background_thread() {
  constexpr int kPriority = 10;
  constexpr unsigned long kTimerSlackNs = 1'000;
  // On Linux the priority is the thread's.
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kPriority);
  (void)prctl(PR_SET_TIMERSLACK, kTimerSlackNs);
}

// When it is time to give the CPU away. Of one thread.
class Pace {
 public:
  static constexpr uint64_t kWorkNs = 100'000;
  static constexpr uint64_t kSleepNs = 20'000;
  using NowNs = std::function<uint64_t()>;  // never decreases
  using SleepNs = std::function<void(uint64_t)>;

  Pace() : Pace(monotonic_ns, os_sleep_ns) {}
  Pace(NowNs now_ns, SleepNs sleep_ns)
      : now_ns_(std::move(now_ns)), sleep_ns_(std::move(sleep_ns)) {}

  // Sleeps if the thread has been at work for kWorkNs. To be called often, and without a lock.
  void pause() {
    if (now_ns_() - since_ns_ < kWorkNs) return;
    sleep_ns_(kSleepNs);
    since_ns_ = now_ns_();
  }

 private:
  static void os_sleep_ns(uint64_t sleep_ns) {
    const timespec sleep{.tv_sec = 0, .tv_nsec = static_cast<long>(sleep_ns)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &sleep, nullptr);
  }

  NowNs now_ns_;
  SleepNs sleep_ns_;
  uint64_t since_ns_ = 0;
};

}  // namespace tmem
