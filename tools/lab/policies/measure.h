// SPDX-License-Identifier: GPL-2.0-or-later
// What a run is judged by.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "tools/lab/policies/constants.h"
#include "tools/lab/policies/sim_guest.h"

namespace tmem::lab::policies {

struct GuestResult {
  double stall_some = 0;  // of the time
  double stall_full = 0;
  double freed_bytes = 0;    // on average: maximum - memory - its persistent pages in the pool
  double starved_s = 0;      // while the host had memory for what all its guests need
  double starved_all_s = 0;  // always
  uint64_t disk_reads = 0;   // pages that had been evicted
};

struct RunResult {
  double stall_some = 0;  // mean over guests
  double stall_full = 0;
  double freed_bytes = 0;   // sum over guests
  double freed_ratio = 0;   // of the sum of their maxima
  double lent_bytes = 0;    // ephemeral pages in the pool, on average: taken back at any time
  uint64_t disk_reads = 0;  // pages
  double starved_s = 0;     // sum over guests
  double starved_all_s = 0;
  std::optional<double> burst_ms;          // of the worst burst
  std::optional<double> burst_balloon_ms;  // of the worst burst
  double targets_moved_per_min = 0;        // of a guest
  std::vector<GuestResult> guests;
};

// How long something lasts, of which only what is longer than `allowed` ticks in a row counts.
class Streak {
 public:
  explicit Streak(uint32_t allowed_ticks) : allowed_(allowed_ticks) {}
  void tick(bool lasts) {
    now_ = lasts ? now_ + 1 : 0;
    if (now_ == allowed_ + 1)
      sum_ += now_;
    else if (now_ > allowed_)
      ++sum_;
  }
  uint32_t ticks() const { return sum_; }

 private:
  uint32_t allowed_;
  uint32_t now_ = 0;
  uint32_t sum_ = 0;
};

// One guest, tick by tick.
class Measure {
 public:
  Measure(const GuestScript& script, const MeasureConstants& constants)
      : script_(script),
        constants_(constants),
        starved_(constants.starved_ms / kTickMs),
        starved_all_(constants.starved_ms / kTickMs) {}

  // `fits`: the host has memory for what all its guests need, so a policy can be blamed.
  void tick(const SimGuest& guest, const HostPool& pool, uint32_t id, uint32_t tick, bool fits);
  GuestResult result(const SimGuest& guest) const;
  // How late the share burst_ratio of a burst's chunks had their memory, against the second in
  // which they were wanted; the worst of all bursts that the host could meet.
  std::optional<double> burst_ms(const SimGuest& guest, uint32_t end_tick) const;
  // From a burst's begin until memory covers the guest's need again.
  std::optional<double> burst_balloon_ms() const { return burst_balloon_ms_; }
  void finish(uint32_t end_tick);

 private:
  void watch_balloon(const SimGuest& guest, uint32_t tick, bool fits);

  const GuestScript& script_;
  const MeasureConstants& constants_;
  GuestCounters at_start_;
  uint32_t ticks_ = 0;
  double freed_bytes_ticks_ = 0;
  Streak starved_;
  Streak starved_all_;
  std::vector<bool> could_be_met_;  // by burst
  std::optional<uint32_t> waiting_since_;
  std::optional<double> burst_balloon_ms_;
};

}  // namespace tmem::lab::policies
