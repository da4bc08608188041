// SPDX-License-Identifier: GPL-2.0-or-later
// One run: a fresh store, a random stream, the reference store as judge.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "tests/model/reference_store.h"
#include "tests/model/subject.h"

namespace tmem::model {

struct RunOptions {
  uint64_t seed = 1;
  Regime regime = Regime::kAmple;
  uint64_t ops = 50'000;
  SubjectFactory subject = make_store_subject;
  // Whether the subject judges in the very order in which it ran the operations. If not, there
  // are no caps: when they evict depends on that order.
  bool in_order = true;
  // A thread that calls maintain() all the time, to move pages while they are used. Answers stay
  // exact in an ample store.
  bool background = false;
  // The store's memory goes back in whole slots only, and does so where others evict.
  bool whole_slots = false;
};

struct RunResult {
  uint64_t ops = 0;  // judged
  uint64_t hits = 0;
  uint64_t puts_ok = 0;
  // What differed, in what operation, and the operations before it that touched the same pages.
  std::optional<std::string> difference;
};

RunResult run(const RunOptions& options);

}  // namespace tmem::model
