// SPDX-License-Identifier: GPL-2.0-or-later
// The LPC-2010 experiment: one workload, one amount of host memory, five configurations.
#pragma once
#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/lab/simulation.h"

namespace tmem::lab {

struct Configuration {
  std::string_view name;
  bool self_ballooning = false;
  bool tmem = false;
  bool dedup = false;
  bool compress = false;
};

inline constexpr std::array<Configuration, 5> kConfigurations = {{
    {"unchanged", false, false, false, false},
    {"self-ballooning", true, false, false, false},
    {"tmem", true, true, false, false},
    {"tmem+dedup", true, true, true, false},
    {"tmem+dedup+compression", true, true, true, true},
}};

// What all configurations have in common; the references must outlive it.
struct Experiment {
  const Parameters& parameters;
  const Model& model;
  Contents& contents;
  std::string program;  // tmemd
};

// Runs one configuration; with tmem, against a tmemd of its own.
Result<RunResult> run_configuration(const Configuration& configuration,
                                    const Experiment& experiment,
                                    const Simulation::Progress& progress);

}  // namespace tmem::lab
