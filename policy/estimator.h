// SPDX-License-Identifier: GPL-2.0-or-later
// Follows each guest from tick to tick: reads its report, decides whether to believe it, and turns
// counters into rates. Time is the host's: a guest's uptime is never used to divide by.
#pragma once
#include <map>
#include <string>

#include "policy/estimate.h"

namespace tmem::policy {

// An agent reports at least every 10 s.
inline constexpr uint64_t kReportStaleMs = 30'000;

struct GuestInput {
  GuestFacts facts;
  std::optional<std::string> report;  // the node's text, read at this tick; empty: no such node
};

// What was wrong with a guest's reports, since it came.
struct ReportCounters {
  uint64_t accepted = 0;
  uint64_t malformed = 0;
  uint64_t absurd = 0;
  uint64_t stale = 0;  // how often there was none for too long
  // Memory in use that went by an eighth of all, and came as far back with the next such step.
  uint64_t swings = 0;
};

class Estimator {
 public:
  // Call once a tick and guest. The pool's rates are of the time since the guest's previous call;
  // those of a report, of the time since the report before it, and zero in a tick without a new
  // one: an agent is silent while nothing changes.
  Estimate update(uint64_t now_ms, const GuestInput& input);
  // Forgets guests that had no update() at `now_ms`.
  void forget_others(uint64_t now_ms);
  const ReportCounters& counters(GuestId id) const;
  // Why the newest report was not believed; empty: it was.
  const std::string& complaint(GuestId id) const;

 private:
  struct Guest {
    bool seen = false;
    uint64_t updated_ms = 0;
    PoolUse pool;
    std::string text;  // of the last report, good or bad
    std::optional<Sample> sample;
    uint64_t sample_ms = 0;
    int direction = 0;  // of the last large step of memory in use
    ReportState state = ReportState::kNone;
    ReportCounters counters;
    std::string complaint;
  };
  static void read_report(uint64_t now_ms, const GuestInput& input, Guest& guest,
                          Estimate& estimate);
  static void count_swing(const Sample& now, Guest& guest);

  std::map<GuestId, Guest> guests_;
};

}  // namespace tmem::policy
