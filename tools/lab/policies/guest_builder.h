// SPDX-License-Identifier: GPL-2.0-or-later
// Building one guest of a scenario from shares of its memory.
#pragma once
#include <cstdint>

#include "tools/lab/policies/scenario.h"
#include "tools/lab/rng.h"

namespace tmem::lab::policies {

// Random numbers in the shapes that the families need.
class Draw {
 public:
  explicit Draw(uint64_t seed) : rng_(seed) {}
  uint32_t below(uint32_t bound) { return rng_.below(bound); }
  double unit() { return static_cast<double>(rng_.next() >> 11) * 0x1p-53; }
  double between(double low, double high) { return low + (high - low) * unit(); }
  bool chance(double probability) { return unit() < probability; }
  // Whole tenths of a second.
  uint32_t ms(uint32_t low, uint32_t high);

 private:
  Rng rng_;
};

class GuestBuilder {
 public:
  // Of 512, 768 or 1024 MiB; a sixteenth of it is the kernel's. Its weight in the pool is in
  // proportion, as an administrator sets it who sells by size.
  explicit GuestBuilder(Draw& draw);

  void commit_factor(double factor) { guest_.commit_factor = factor; }
  // What every guest has: often touched (half a second to five), sometimes (to a minute), and cold
  // memory (300 to 3000 s), as shares of its maximum; two thirds anonymous, the rest files.
  void base(double hot, double warm, double cold);
  // `share` of the guest's maximum. Returns the region's number.
  uint32_t region(Kind kind, double share, uint32_t period_min_ms, uint32_t period_max_ms,
                  bool in_use);
  // A file read once from begin to end, evenly over the run.
  void stream(double mib_s, uint32_t duration_ms);
  void event(uint32_t at_ms, uint32_t region, Action action);
  // The events in order of time.
  GuestScript done();

 private:
  GuestScript guest_;
};

}  // namespace tmem::lab::policies
