// SPDX-License-Identifier: GPL-2.0-or-later
// Watches the guests' reports, so that an urgent one is read at once and not with the next tick.
//
// A guest can write its report as fast as xenstored lets it: whose report changes more than five
// times in a second is not watched for a second, and only read with each tick.
#pragma once
#include <map>
#include <span>
#include <vector>

#include "policy/per_second.h"
#include "tmemd/transport/xen/platform.h"

namespace tmem::arbiter {

inline constexpr uint32_t kReportEventsPerSecond = 5;
inline constexpr uint64_t kUnwatchedMs = 1'000;

struct WatchCounters {
  uint64_t events = 0;
  uint64_t dropped = 0;  // how often the watch was taken away
};

// Not thread-safe.
class ReportWatches {
 public:
  explicit ReportWatches(transport::xen::XenStore& xenstore) : xenstore_(xenstore) {}

  // Watches these, in order of id, and nobody else.
  void follow(std::span<const DomId> guests, uint64_t now_ms);
  // Whose reports were written since the last call; takes a bounded number of events.
  std::vector<DomId> written(uint64_t now_ms);
  WatchCounters counters(DomId guest) const;

 private:
  struct Guest {
    bool watched = false;
    uint64_t again_ms = 0;  // while it is not watched
    policy::PerSecond events;
    WatchCounters counters;
  };
  void watch(DomId id, Guest& guest);
  // False: one too many.
  bool count(DomId id, Guest& guest, uint64_t now_ms);

  transport::xen::XenStore& xenstore_;
  std::map<DomId, Guest> guests_;
};

}  // namespace tmem::arbiter
