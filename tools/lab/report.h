// SPDX-License-Identifier: GPL-2.0-or-later
// What a run shows: the table, the JSON, the plot.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tools/lab/manifest.h"
#include "tools/lab/simulation.h"

namespace tmem::lab {

struct NamedResult {
  std::string_view name;
  RunResult result;
};

struct Report {
  Parameters parameters;
  std::string files;  // where they came from, for people
  size_t file_count = 0;
  Manifest manifest;
  std::vector<NamedResult> results;  // the first is what the others are compared with
};

// What is simulated, with which parameters.
std::string heading(const Report& report, const Model& model);
std::string table(const Report& report);
nlohmann::json to_json(const Report& report, const Model& model);
std::string to_svg(const Report& report);

}  // namespace tmem::lab
