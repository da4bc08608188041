// SPDX-License-Identifier: GPL-2.0-or-later
// What one guest needs, followed from tick to tick: down slowly while nothing hurts, up at once.
//
// Down, as Senpai probes: memory that is free is taken first, then page cache and cold pages, a
// share of the guest a second that doubles while all stays calm and starts anew after each
// pressure. Up, by three signals: memory in use, and how fast it grows (Committed_AS
// self-ballooning, but by what is touched); pages that came back after they had been pushed out,
// one page of need each; and PSI, by Senpai's law of backing off. The pool's own counts of pages
// given back stand in for PSI where a guest has no agent.
#pragma once
#include "policy/estimate.h"

namespace tmem::policy {

// Static text: what moved the need last, for `tmem why`.
namespace reason {
inline constexpr const char* kCalm = "calm";          // nothing hurt: less
inline constexpr const char* kHold = "hold";          // neither calm nor pressed
inline constexpr const char* kUse = "use";            // memory in use, and its growth
inline constexpr const char* kReturns = "returns";    // pages came back from disk or pool
inline constexpr const char* kPressure = "pressure";  // PSI
}  // namespace reason

class GuestNeed {
 public:
  // Call once a tick; `elapsed_ms` since the one before, 0 at first. `some_ratio`: harmless PSI.
  void update(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms);
  uint64_t bytes() const { return bytes_; }
  const char* why() const { return why_; }
  // Its balloon does not follow its target: what the guest has is all that can be counted on.
  bool is_stuck() const;
  // Pages that the pool gave back of late, in bytes; half of it is forgotten each minute.
  uint64_t proven_bytes() const { return static_cast<uint64_t>(proven_bytes_); }

 private:
  void watch_balloon(const GuestFacts& facts, uint64_t elapsed_ms);
  void prove(const Estimate& estimate, uint64_t elapsed_ms);
  double use_growth(const Estimate& estimate, uint64_t elapsed_ms);
  double growth_bytes(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms);
  void probe(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms);

  bool known_ = false;
  uint64_t bytes_ = 0;
  uint64_t used_bytes_ = 0;  // in RAM and swap, at the last report
  double proven_bytes_ = 0;
  double some_average_ = 0;
  uint64_t actual_bytes_ = 0;  // at the last tick
  uint64_t still_ms_ = 0;
  const char* why_ = reason::kHold;
};

}  // namespace tmem::policy
