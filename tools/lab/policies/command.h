// SPDX-License-Identifier: GPL-2.0-or-later
// The sub-command `tmem-lab policies`.
#pragma once
#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "libtmem/base/result.h"

namespace tmem::lab::policies {

struct CommandLine {
  std::vector<std::string> policies;
  std::vector<std::string> scenarios;
  uint64_t seed = 1;
  uint32_t count = 0;
  bool all_knobs = false;
  bool hard_disk = false;
  bool no_write_back = false;
  std::string eviction = "ours";
  uint32_t threads = 0;
  std::string json_path;
  std::string svg_directory;
  std::string trace_path;
};

CLI::App* add_command(CLI::App& app, CommandLine& line);
Result<void> run_command(const CommandLine& line);

}  // namespace tmem::lab::policies
