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
  uint32_t bursts = 0;                     // that the host could meet
  uint32_t bursts_in_time = 0;             // of these, within burst_goal_ms
  uint32_t bursts_balloon_in_time = 0;     // within burst_balloon_goal_ms
  double targets_moved_per_min = 0;        // of a guest
  std::vector<GuestResult> guests;
};

// A burst that the host could meet, in its first seconds at least: that depends on the scenario
// only. Once the host cannot, the time that the balloon takes is no longer counted.
struct BurstResult {
  // How late the share burst_ratio of its chunks had their memory, against the second in which they
  // were wanted.
  double late_ms = 0;
  // From its begin until memory covers the guest's need again.
  double balloon_ms = 0;
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
  // `pool_bytes`: of its persistent pages, as stored.
  void tick(const SimGuest& guest, uint64_t pool_bytes, uint32_t tick, bool fits);
  GuestResult result(const SimGuest& guest) const;
  std::vector<BurstResult> bursts(const SimGuest& guest, uint32_t end_tick) const;

 private:
  struct BurstWatch {
    uint32_t begin_tick;
    std::optional<uint32_t> covered_tick;  // when memory covered the need, or could not
    bool could_be_met;
  };
  void watch_balloon(const SimGuest& guest, uint32_t tick, bool fits);
  double late_ms(const SimGuest::Burst& burst, uint32_t end_tick) const;

  const GuestScript& script_;
  const MeasureConstants& constants_;
  GuestCounters at_start_;
  uint32_t ticks_ = 0;
  double freed_bytes_ticks_ = 0;
  Streak starved_;
  Streak starved_all_;
  std::vector<BurstWatch> watched_;  // the guest's bursts, in their order
};

}  // namespace tmem::lab::policies
