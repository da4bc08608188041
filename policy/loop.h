// SPDX-License-Identifier: GPL-2.0-or-later
// One tick: reports become estimates, estimates a plan, the plan a bounded plan; and a record of
// all of it. The same inputs in the same order give the same records, so a recorded log can be
// replayed.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "policy/estimator.h"
#include "policy/guard.h"
#include "policy/strategy.h"

namespace tmem::policy {

struct GuestRecord {
  GuestInput input;
  Estimate estimate;
  std::string complaint;  // why its newest report was not believed
  std::optional<Wish> wish;
  BoundedTarget bounded;
};

struct TickRecord {
  uint64_t number = 0;  // from 1
  HostView host;
  std::vector<GuestRecord> guests;  // in order of id
};

// Not thread-safe.
class Loop {
 public:
  // Errors: kNotFound when there is no strategy of that name; the message lists them.
  static Result<Loop> create(const std::string& strategy, std::optional<double> knob);

  std::string_view strategy() const { return strategy_->name(); }
  double knob() const { return knob_; }
  uint32_t period_ms() const { return strategy_->period_ms(); }
  bool wants_urgent() const { return strategy_->wants_urgent(); }

  // `inputs` has each running guest once, in order of id; a tick without guests does not count. The
  // record stays until the next tick.
  const TickRecord& tick(const HostView& host, std::span<const GuestInput> inputs);
  const TickRecord& last() const { return last_; }
  const ReportCounters& report_counters(GuestId id) const { return estimator_.counters(id); }

 private:
  Loop(std::unique_ptr<Strategy> strategy, double knob)
      : strategy_(std::move(strategy)), knob_(knob) {}

  std::unique_ptr<Strategy> strategy_;
  double knob_;
  Estimator estimator_;
  TickRecord last_;
};

}  // namespace tmem::policy
