// SPDX-License-Identifier: GPL-2.0-or-later
// What the arbiter knows of a guest from turn to turn.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "policy/balloon_progress.h"
#include "policy/guard.h"
#include "policy/per_second.h"
#include "tmemd/arbiter/census.h"
#include "tmemd/arbiter/handover.h"
#include "tmemd/arbiter/settings.h"

namespace tmem::arbiter {

struct Guest {
  GuestSight sight;
  GuestRule rule;
  policy::GuestSettings settings;
  Handover handover;
  policy::BalloonProgress progress;
  policy::PerSecond urgent;  // turns at once that it was given
  uint64_t first_bytes = 0;  // what it had when it was first planned
  bool reported = false;     // a report of its agent was believed
  bool told = false;         // its agent, by this tmemd, to set the balloon
  bool taken_back = false;   // the balloon, and the kernel has had no target since
  uint64_t floor_kib = 0;    // as told
  uint64_t ceiling_kib = 0;  // as told, until the balloon is back; 0: unknown
  std::optional<std::string> report_when_taken_back;
  std::string reason;
  policy::Bound bound = policy::Bound::kNone;
  uint64_t since_ms = 0;  // of reason and bound
  uint64_t targets_written = 0;
  uint64_t target_written_ms = 0;
  uint64_t target_written_bytes = 0;
  uint64_t write_errors = 0;
  bool write_failed = false;   // the last one, and said so
  uint64_t complained_ms = 0;  // of its balloon; 0: never
  bool gone = false;           // it died while we wrote
};

// By number, uuid or name. Errors: kNotFound, kConflict for a name of several.
Result<DomId> find_guest(const std::map<DomId, Guest>& guests, const std::string& name);

}  // namespace tmem::arbiter
