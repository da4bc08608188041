// SPDX-License-Identifier: GPL-2.0-or-later
// What an evaluation shows: tables, JSON, plots.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/lab/policies/evaluate.h"
#include "tools/lab/policies/tradeoff.h"

namespace tmem::lab::policies {

// A row a policy x scenario x pool.
std::string rows_table(const Evaluation& evaluation);
// Means over scenarios, with each policy's default knob.
std::string summary_table(const Evaluation& evaluation);
std::string comparison_table(const std::vector<Comparison>& comparisons, const std::string& ours);

nlohmann::json to_json(const Evaluation& evaluation, const Constants& constants,
                       const std::vector<Curve>& curves,
                       const std::vector<Comparison>& comparisons);

// Stall over memory freed, a curve a policy: all scenarios, then each family.
std::string tradeoff_svg(const std::vector<Curve>& curves, bool pool);

}  // namespace tmem::lab::policies
