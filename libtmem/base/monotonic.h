// SPDX-License-Identifier: LGPL-2.1-or-later
// The exact monotonic clock, for intervals of microseconds. Clock (clock.h) is the cheap one.
#pragma once
#include <time.h>

#include <cstdint>

namespace tmem {

// Nanoseconds since an arbitrary start; never decreases. Any thread.
inline uint64_t monotonic_ns() {
  timespec now{};
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace tmem
