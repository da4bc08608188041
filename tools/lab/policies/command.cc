// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "policy/strategy.h"
#include "tools/lab/policies/output.h"
#include "tools/lab/policies/trace.h"

namespace tmem::lab::policies {
namespace {

Result<void> write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::trunc);
  out << text;
  out.close();
  if (!out) return fail_os("cannot write " + path.string());
  return {};
}

// A line now and then, the last one always.
void show_progress(size_t done, size_t total) {
  const size_t step = std::max<size_t>(1, total / 20);
  if (done % step == 0 || done == total)
    (void)std::fputs(fmt::format("{} of {} scenarios\n", done, total).c_str(), stderr);
}

void print(const std::string& text) {
  (void)std::fputs(text.c_str(), stdout);
}

Result<void> write_plots(const std::string& directory, const std::vector<Curve>& curves) {
  if (directory.empty()) return {};
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail(Errc::kOs, "cannot create " + directory + ": " + error.message());
  const std::filesystem::path path(directory);
  TMEM_CHECK(write_text(path / "tradeoff-pool-off.svg", tradeoff_svg(curves, false)));
  return write_text(path / "tradeoff-pool-on.svg", tradeoff_svg(curves, true));
}

}  // namespace

CLI::App* add_command(CLI::App& app, CommandLine& line) {
  CLI::App* const command =
      app.add_subcommand("policies", "policies of memory on simulated hosts, side by side");
  command->add_option("--policy", line.policies, "only these (NAME,... or NAME@KNOB)")
      ->delimiter(',');
  command->add_option("--scenario", line.scenarios, "only these families or scenarios (NAME,...)")
      ->delimiter(',');
  command->add_option("--seed", line.seed, "of the scenarios (default 1; 1 to 99: development)");
  command->add_option("--count", line.count, "scenarios (default: one of each family)");
  command->add_flag("--knobs", line.all_knobs, "each policy with each value of its knob");
  command->add_flag("--hard-disk", line.hard_disk, "a disk of 7200 rpm, in place of a SATA SSD");
  command->add_flag("--no-write-back", line.no_write_back,
                    "what lies in the pool for long never goes home to its guest's disk");
  command
      ->add_option("--eviction", line.eviction,
                   "of the pool's ephemeral pages: ours, or old-documented and old-shipped, which "
                   "are those of Xen's old tmem")
      ->check(CLI::IsMember({"ours", "old-documented", "old-shipped"}));
  command->add_option("--threads", line.threads, "default: one a processor");
  command->add_option("--json", line.json_path, "write the results here");
  command->add_option("--svg", line.svg_directory, "write plots into this directory");
  command->add_option("--trace", line.trace_path, "write each second of each run here (CSV)");
  return command;
}

Result<void> run_command(const CommandLine& line) {
  Constants constants;
  if (line.hard_disk) constants.disk = kHardDisk;
  if (line.no_write_back) constants.write_back.guest_mib_s = 0;
  if (line.eviction == "old-documented") constants.pool.eviction = Eviction::kDocumented;
  if (line.eviction == "old-shipped") constants.pool.eviction = Eviction::kShipped;
  Evaluation evaluation;
  evaluation.seed = line.seed;
  TMEM_TRY(evaluation.contenders, choose_contenders(line.policies, line.all_knobs));
  TMEM_TRY(evaluation.scenarios, choose_scenarios(line.scenarios, line.seed, line.count));
  if (!line.trace_path.empty()) {
    std::ofstream out(line.trace_path, std::ios::trunc);
    write_trace(evaluation, constants, out);
    if (!out.flush()) return fail_os("cannot write " + line.trace_path);
  }
  const uint32_t threads =
      line.threads > 0 ? line.threads : std::max(1u, std::thread::hardware_concurrency());
  run_all(evaluation, constants, threads, show_progress);

  const std::vector<Curve> curves = make_curves(evaluation);
  const auto& kinds = policy::strategy_kinds();
  const std::string ours(kinds.empty() ? kBestStatic : kinds.front().name);
  const std::vector<Comparison> comparisons = compare(curves, ours);
  print(rows_table(evaluation));
  print("\nMeans over all scenarios:\n" + summary_table(evaluation));
  if (!comparisons.empty())
    print("\nAt the memory that each policy frees, beside " + ours + ":\n" +
          comparison_table(comparisons, ours));
  if (!line.json_path.empty())
    TMEM_CHECK(write_text(line.json_path,
                          to_json(evaluation, constants, curves, comparisons).dump(1) + "\n"));
  return write_plots(line.svg_directory, curves);
}

}  // namespace tmem::lab::policies
