// SPDX-License-Identifier: GPL-2.0-or-later
// From the time that tasks wait to the kernel's PSI figures.
//
// A task that waits for more than a tick goes on waiting in the next. Of a tick, task k waits the
// share p_k; when in the tick is not known, so tasks are taken as independent:
//   some = 1 - product of (1 - p_k)      full = product of p_k
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "tools/lab/policies/constants.h"

namespace tmem::lab::policies {

inline constexpr uint32_t kTasksMax = 8;

struct PressureTick {
  double some_us = 0;
  double full_us = 0;
};

class TaskStalls {
 public:
  explicit TaskStalls(uint32_t tasks) : tasks_(tasks) {}

  uint32_t tasks() const { return tasks_; }
  // It does nothing else in this tick.
  bool is_blocked(uint32_t task) const { return debts_us_[task] >= kTickUs; }
  double debt_us(uint32_t task) const { return debts_us_[task]; }
  void add(uint32_t task, double us) {
    debts_us_[task] += us;
    any_ = true;
  }
  void block(uint32_t task) { add(task, std::max(0.0, kTickUs - debts_us_[task])); }

  PressureTick end_tick() {
    if (!any_) return {};
    any_ = false;
    double none = 1;
    double all = 1;
    for (uint32_t i = 0; i < tasks_; ++i) {
      const double stalled_us = std::min(debts_us_[i], kTickUs);
      debts_us_[i] -= stalled_us;
      any_ |= debts_us_[i] > 0;
      none *= 1 - stalled_us / kTickUs;
      all *= stalled_us / kTickUs;
    }
    return {(1 - none) * kTickUs, all * kTickUs};
  }

 private:
  uint32_t tasks_;
  bool any_ = false;
  std::array<double, kTasksMax> debts_us_{};
};

}  // namespace tmem::lab::policies
