// SPDX-License-Identifier: GPL-2.0-or-later
// What one guest needs, followed from tick to tick: down slowly while nothing hurts, up at once.
//
// Down: memory that is free at once, then page cache and cold pages as Senpai probes, a small share
// of the guest a second, less the more pressure there is; faster where other guests need more than
// the host has. Up, by three signals: memory in use that rises (Committed_AS self-ballooning, but
// by what is touched); pages that came back after they had been pushed out, which are counted
// twice; and PSI, for a wait that no page explains. The pool's own counts of pages given back stand
// in for PSI where a guest has no agent. And whatever else is so: something is left that the guest
// could make free.
#pragma once
#include "policy/estimate.h"

namespace tmem::policy {

// Static text: what moved the need last, for `tmem why`.
namespace reason {
inline constexpr const char* kCalm = "calm";          // nothing hurt: less
inline constexpr const char* kFree = "free";          // not calm, but it has memory free
inline constexpr const char* kYield = "yield";        // calm, and others need it
inline constexpr const char* kHold = "hold";          // neither calm nor pressed
inline constexpr const char* kUse = "use";            // memory in use, and its growth
inline constexpr const char* kReturns = "returns";    // pages came back from disk or pool
inline constexpr const char* kPressure = "pressure";  // PSI
}  // namespace reason

class GuestNeed {
 public:
  // Call once a tick; `elapsed_ms` since the one before, 0 at first. `some_ratio`: harmless PSI.
  void update(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms);
  // Call after update() when others need more than there is: who hurts less than `some_ratio`
  // probes faster for them.
  void yield(const GuestSettings& settings, double some_ratio, uint64_t elapsed_ms);
  // PSI `some` of late, as far as the pages that the pool gave back bear it out.
  double proven_some() const;
  uint64_t bytes() const { return bytes_; }
  const char* why() const { return why_; }
  // Pages that the pool gave back of late, in bytes, and what the guest had borrowed before that
  // was looked at; half of it is forgotten each minute.
  uint64_t proven_bytes() const { return static_cast<uint64_t>(proven_bytes_ + borrowed_bytes_); }
  void set_borrowed(uint64_t bytes) { borrowed_bytes_ = static_cast<double>(bytes); }

 private:
  void prove(const Estimate& estimate, uint64_t elapsed_ms);
  double use_growth(const Estimate& estimate, uint64_t elapsed_ms);
  double growth_bytes(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms);
  double sample_s() const { return static_cast<double>(sample_ms_) / 1000; }
  void probe(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms);

  bool known_ = false;
  uint64_t bytes_ = 0;
  uint64_t least_bytes_ = 0;  // by the newest report: less leaves it nothing to spare
  uint64_t used_bytes_ = 0;   // in RAM and swap, at the last report
  double proven_bytes_ = 0;
  // The most that it had in the pool of late: a page that is read again and again proves one page.
  double held_bytes_ = 0;
  double borrowed_bytes_ = 0;
  double some_average_ = 0;
  double some_now_ = 1;  // at the last decision
  // Decisions may come more often than reports: what a report says is of the time since the last.
  bool sampled_ = false;
  uint64_t sample_ms_ = 0;
  const char* why_ = reason::kHold;
};

}  // namespace tmem::policy
