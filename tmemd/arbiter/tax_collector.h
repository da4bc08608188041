// SPDX-License-Identifier: GPL-2.0-or-later
// Applies the idle tax (policy/idle_tax.h) to the store's clients, once a minute. Whatever the
// mode: it moves no guest's memory, only which ephemeral pages are dropped first.
#pragma once
#include "policy/idle_tax.h"
#include "tmemd/store/store.h"

namespace tmem::arbiter {

// Not thread-safe.
class TaxCollector {
 public:
  static constexpr uint64_t kPeriodMs = 60'000;

  // `store` outlives it.
  explicit TaxCollector(store::Store& store) : store_(store) {}
  // Any time; does something when a minute has passed.
  void turn(uint64_t now_ms);

 private:
  store::Store& store_;
  policy::IdleTax tax_;
  uint64_t due_ms_ = 0;
};

}  // namespace tmem::arbiter
