// SPDX-License-Identifier: GPL-2.0-or-later
// What `tmem policy show` and `tmem why` tell: a copy of the arbiter's state after a turn, so that
// who asks waits for no turn. Immutable.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <set>

#include "policy/loop.h"
#include "tmemd/arbiter/decision_file.h"
#include "tmemd/arbiter/guest.h"
#include "tmemd/arbiter/report_watches.h"

namespace tmem::arbiter {

struct View {
  struct Counts {
    policy::ReportCounters reports;
    WatchCounters watch;
  };

  Settings settings;
  Mode mode = Mode::kOff;  // in effect
  std::string rival;
  std::string strategy;
  double knob = 0;
  uint32_t period_ms = 0;
  uint64_t turns = 0;
  std::string blind;  // why all targets are held; empty: they are not
  std::optional<DecisionFile::Counters> log;
  policy::TickRecord last;
  std::map<DomId, Guest> guests;
  std::map<DomId, Counts> counts;
  std::set<Uuid> changed;  // by `tmem policy set`

  nlohmann::json describe(uint64_t now_ms) const;
  // Of all guests, or one. Errors: as find_guest's.
  Result<nlohmann::json> why(const std::optional<std::string>& guest, uint64_t now_ms) const;

 private:
  nlohmann::json guest_json(const Guest& guest) const;
  nlohmann::json why(const Guest& guest, uint64_t now_ms) const;
};

}  // namespace tmem::arbiter
