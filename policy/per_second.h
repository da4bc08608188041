// SPDX-License-Identifier: GPL-2.0-or-later
// So many times in a second, and no more.
#pragma once
#include <cstdint>

namespace tmem::policy {

class PerSecond {
 public:
  // Whether it may happen at `now_ms`, and counts that it does.
  bool take(uint32_t most, uint64_t now_ms) {
    if (!has_room(most, now_ms)) return false;
    ++count_;
    return true;
  }
  bool has_room(uint32_t most, uint64_t now_ms) {
    if (now_ms - second_ms_ >= 1'000) {
      second_ms_ = now_ms;
      count_ = 0;
    }
    return count_ < most;
  }

 private:
  uint64_t second_ms_ = 0;
  uint32_t count_ = 0;
};

}  // namespace tmem::policy
