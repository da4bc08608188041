// SPDX-License-Identifier: GPL-2.0-or-later
// Background threads: when they give the CPU away.
#include "libtmem/base/background.h"

#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

namespace tmem {

TEST_CASE("a pace sleeps after its time of work, and counts anew", "[background]") {
  uint64_t now_ns = 1'000'000'000;
  uint64_t slept = 0;
  Pace pace([&] { return now_ns; },
            [&](uint64_t sleep_ns) {
              CHECK(sleep_ns == Pace::kSleepNs);
              now_ns += sleep_ns;
              ++slept;
            });
  pace.pause();  // how long the thread was at work before is not known
  CHECK(slept == 1);
  for (uint64_t round = 1; round <= 10; ++round) {
    now_ns += Pace::kWorkNs - 1;
    pace.pause();
    CHECK(slept == round);
    ++now_ns;
    pace.pause();
    CHECK(slept == round + 1);
  }
}

TEST_CASE("a thread that was put in the background has a low priority, others not",
          "[background]") {
  const int before = getpriority(PRIO_PROCESS, 0);
  int in_thread = 0;
  std::thread([&] {
    become_background_thread();
    in_thread = getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()));
  }).join();
  CHECK(in_thread == std::max(before, 10));
  CHECK(getpriority(PRIO_PROCESS, 0) == before);
}

}  // namespace tmem
