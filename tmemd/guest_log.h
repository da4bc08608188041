// SPDX-License-Identifier: GPL-2.0-or-later
// Log lines that a guest can cause: a burst of 10, then one a second; the rest is counted.
#pragma once
#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

#include "libtmem/base/clock.h"
#include "tmemd/log.h"

namespace tmem {

// Thread safety: any thread.
class GuestLog {
 public:
  // `clock` must outlive the log.
  GuestLog(const Clock& clock, LogSink sink)
      : clock_(clock), sink_(std::move(sink)), refilled_at_ms_(clock.now_ms()) {}

  void line(const std::string& text, LogKind kind = LogKind::kWarning) {
    uint64_t left_out = 0;
    {
      const std::lock_guard lock(mutex_);
      const uint64_t earned = (clock_.now_ms() - refilled_at_ms_) / kRefillMs;
      refilled_at_ms_ += earned * kRefillMs;
      tokens_ = std::min(kBurst, tokens_ + earned);
      if (tokens_ == 0) {
        ++left_out_;
        return;
      }
      --tokens_;
      left_out = std::exchange(left_out_, 0);
    }
    if (left_out != 0)
      sink_(LogKind::kWarning, std::to_string(left_out) + " messages about clients were left out");
    sink_(kind, text);
  }

 private:
  static constexpr uint64_t kBurst = 10;
  static constexpr uint64_t kRefillMs = 1'000;

  const Clock& clock_;
  const LogSink sink_;
  std::mutex mutex_;
  uint64_t refilled_at_ms_;   // under mutex_
  uint64_t tokens_ = kBurst;  // under mutex_
  uint64_t left_out_ = 0;     // under mutex_
};

}  // namespace tmem
