// SPDX-License-Identifier: GPL-2.0-or-later
// At most kLinesPerSecond lines a second reach the log; what is left out is counted and told.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "libtmem/base/clock.h"

namespace tmem::control {

class RateLimitedLog {
 public:
  // `write` may be empty. `clock` must outlive this.
  RateLimitedLog(const Clock& clock, std::function<void(const std::string&)> write)
      : clock_(clock), write_(std::move(write)) {}

  void line(const std::string& text) {
    if (!write_) return;
    const uint64_t now_ms = clock_.now_ms();
    if (now_ms - second_started_ms_ >= 1000) {
      if (suppressed_ != 0)
        write_("control: " + std::to_string(suppressed_) + " lines were left out");
      second_started_ms_ = now_ms;
      lines_ = 0;
      suppressed_ = 0;
    }
    if (lines_ == kLinesPerSecond) {
      ++suppressed_;
      return;
    }
    ++lines_;
    write_("control: " + text);
  }

 private:
  static constexpr uint32_t kLinesPerSecond = 5;

  const Clock& clock_;
  std::function<void(const std::string&)> write_;
  uint64_t second_started_ms_ = 0;
  uint32_t lines_ = 0;
  uint64_t suppressed_ = 0;
};

}  // namespace tmem::control
