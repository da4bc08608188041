// SPDX-License-Identifier: GPL-2.0-or-later
// Many runs: policies x knobs x scenarios x pool on and off, on all processors. The results do not
// depend on how many there are.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libtmem/base/result.h"
#include "policy/strategy.h"
#include "tools/lab/policies/best_static.h"
#include "tools/lab/policies/measure.h"
#include "tools/lab/policies/scenario.h"

namespace tmem::lab::policies {

inline constexpr std::string_view kBestStatic = "best-static";

// A policy with one value of its knob.
struct Contender {
  std::string policy;
  double knob = 0;
  bool is_default = false;
};

// Names are of policy::strategy_kinds() or best-static; NAME@KNOB is one with a knob of its own. No
// names: all. `all_knobs`: each with all values that its kind lists.
Result<std::vector<Contender>> choose_contenders(const std::vector<std::string>& names,
                                                 bool all_knobs);

// Names are of families ("bursts") or scenarios ("bursts-7"). The named scenarios, then `count`
// more of the named families (of all, if none is named), in turns. Count 0: one of each family.
Result<std::vector<Scenario>> choose_scenarios(const std::vector<std::string>& names, uint64_t seed,
                                               uint32_t count);

struct Row {
  Contender contender;
  uint32_t scenario = 0;  // index
  bool pool = false;
  RunResult result;
};

struct Evaluation {
  uint64_t seed = 0;
  std::vector<Scenario> scenarios;
  std::vector<Contender> contenders;
  std::vector<Row> rows;  // by scenario, contender, pool
};

// Makes the strategies of one scenario's runs. best-static's is searched for first: some dozens of
// runs.
class StrategyMaker {
 public:
  StrategyMaker(const Scenario& scenario, const Constants& constants)
      : scenario_(scenario), constants_(constants) {}
  std::unique_ptr<policy::Strategy> make(const Contender& contender, bool pool);

 private:
  const Scenario& scenario_;
  const Constants& constants_;
  std::optional<BestStatic> best_;
};

// progress(done, of) is called by any thread, one at a time.
using ProgressFn = std::function<void(size_t, size_t)>;
void run_all(Evaluation& evaluation, const Constants& constants, uint32_t threads,
             const ProgressFn& progress);

}  // namespace tmem::lab::policies
