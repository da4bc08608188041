// SPDX-License-Identifier: GPL-2.0-or-later
// A strategy turns estimates into wishes. It may keep state between ticks; it has no clock, no
// randomness and no I/O, so the same estimates give the same wishes.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/estimate.h"

namespace tmem::policy {

// One guest's target as a strategy wants it. Nothing bounds it yet: see guard.h.
struct Wish {
  GuestId id{};
  uint64_t target_bytes = 0;
  const char* reason = "";  // a short word for `tmem why`: static text
};

// At most one wish a guest; a guest without one keeps its target.
struct Plan {
  std::vector<Wish> wishes;
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual std::string_view name() const = 0;
  // Call plan() this often. A strategy whose algorithm has several periods counts ticks itself.
  virtual uint32_t period_ms() const = 0;
  // Also call it when a guest's PSI trigger fired.
  virtual bool wants_urgent() const { return false; }
  // `estimates` has each running guest once, in order of id. Guests come and go between calls.
  virtual Plan plan(const HostView& host, std::span<const Estimate> estimates) = 0;
};

// How a strategy is tuned: the one number of its algorithm that trades memory for stall. Each
// strategy's header says which number it is and lists the values the lab tries.
struct StrategyKind {
  std::string_view name;
  std::string_view summary;
  std::vector<double> knobs;  // from careful to greedy
  double default_knob;        // as published
};

// All there are, ours first.
const std::vector<StrategyKind>& strategy_kinds();
// Null when there is no such name.
std::unique_ptr<Strategy> make_strategy(std::string_view name, double knob);

}  // namespace tmem::policy
