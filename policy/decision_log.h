// SPDX-License-Identifier: GPL-2.0-or-later
// The decision log: JSON, a line each, so that any tool can read it.
//
//   {"start": {"version": 1, "strategy": "selfballoon+psi", "knob": 0.001}}
//   {"tick": 1, "guests": 2, "host": {...}, "guest": {...}, "report": "1 seq=...", "estimate":
//   {...},
//    "plan": {"wish_bytes": ..., "reason": "calm"}, "target_bytes": ..., "bound": "none"}
//
// A start line begins a new loop; then one line a tick and guest. What is under host, guest and
// report went in, the rest came out.
#pragma once
#include <istream>
#include <string>

#include "policy/loop.h"

namespace tmem::policy {

// Lines end with '\n'.
std::string start_line(const Loop& loop);
std::string tick_lines(const TickRecord& record);

// A guest's report may hold any bytes. What is not ASCII becomes '?', and what is too long is cut
// one byte beyond: it is no good report either way, and the log stays text. Texts that differ only
// in that are one to a replay, so a loop must not be given them apart.
std::string as_logged(std::string report);

struct ReplayResult {
  uint64_t ticks = 0;
  uint64_t lines = 0;
  uint64_t different = 0;
  std::string first_difference;  // line number, what was logged, what came out now
};

// Runs the inputs of a log again and compares every line, byte for byte. A log may end in the
// middle of a tick or line (the daemon died): that tick is left out. Errors: kMalformed, with the
// number of the line; also for a log that does not begin with a start line.
Result<ReplayResult> replay(std::istream& log);

}  // namespace tmem::policy
