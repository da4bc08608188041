// SPDX-License-Identifier: GPL-2.0-or-later
// tmem-lab: experiments with simulated guests: `lpc2010` with a real tmemd (docs/lab.md),
// `policies` with the real policy code (docs/lab-policies.md); `replay` runs a decision log of
// tmemd again.
//
// Exit status: 0 done; 1 failed (a wrong or lost page, memory exceeded, daemon or files missing);
// 2 wrong command line; 130 interrupted.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "tools/lab/experiment.h"
#include "tools/lab/manifest.h"
#include "tools/lab/policies/command.h"
#include "tools/lab/progress.h"
#include "tools/lab/replay.h"
#include "tools/lab/report.h"

namespace tmem::lab {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;
constexpr const char* kMachineFiles = "/usr/include:/usr/lib:/usr/share";
constexpr const char* kAuto = "auto";

struct CommandLine {
  Parameters parameters;
  std::string files = kAuto;
  std::string json_path;
  std::string svg_path;
  std::string manifest_path;
  std::string tmemd;
  bool is_policies = false;
  policies::CommandLine policies;
  bool is_replay = false;
  std::string log_path;
};

// An exit status when the program ends here.
std::optional<int> parse_command_line(int argc, char** argv, CommandLine& line) {
  CLI::App app("Experiments with simulated guests.", "tmem-lab");
  app.set_version_flag("--version", "tmem-lab " TMEM_VERSION);
  app.require_subcommand(1);
  CLI::App* const lpc =
      app.add_subcommand("lpc2010", "four guests build kernels under five configurations");
  // An option given twice: the later one counts, so that scripts can append.
  lpc->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  Parameters& p = line.parameters;
  lpc->add_option("--seed", p.seed, "of everything random (default 1)");
  lpc->add_option("--json", line.json_path, "write the results here");
  lpc->add_option("--svg", line.svg_path, "write a plot here");
  lpc->add_option("--overlap", p.overlap_percent,
                  "percent of the files that are the same in all guests (default 50)")
      ->check(CLI::Range(0, 100));
  lpc->add_option("--scale", p.scale, "divides memory and number of jobs (default 8)")
      ->check(CLI::Range(1, 16));
  lpc->add_option("--rounds", p.rounds, "how often each tree is built (default 2)")
      ->check(CLI::Range(1, 8));
  lpc->add_option("--files", line.files,
                  std::string("directories (A:B), a manifest, \"generated\", or \"auto\": ") +
                      kMachineFiles + ", generated where these have too few files (default)");
  lpc->add_option("--write-manifest", line.manifest_path, "write the file manifest here");
  lpc->add_option("--tmemd", line.tmemd, "the daemon (default: tmemd beside this program)");
  const CLI::App* const policies = policies::add_command(app, line.policies);
  CLI::App* const replay =
      app.add_subcommand("replay", "run the inputs of a decision log again and compare");
  replay->add_option("LOG", line.log_path, "JSON lines, as tmemd writes them")->required();
  try {
    app.parse(argc, argv);
    line.is_policies = policies->parsed();
    line.is_replay = replay->parsed();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return std::nullopt;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream in(list);
  for (std::string part; std::getline(in, part, ':');) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

// Replaces line.files by what "auto" came to.
Result<std::unique_ptr<FileSource>> open_files(CommandLine& line, const Model& model) {
  const auto counts = files_needed(line.parameters, model);
  const uint64_t seed = line.parameters.seed;
  std::error_code ignored;
  if (line.files == kAuto) {
    line.files = kMachineFiles;
    auto found = choose_files(split(line.files), seed, counts);
    if (found) return create_real_files(*std::move(found));
    (void)std::fputs(
        fmt::format("{}: {}\nUsing generated files.\n", line.files, found.error().message).c_str(),
        stderr);
    line.files = "generated";
  }
  if (line.files == "generated") return create_generated_files(seed, counts);
  if (std::filesystem::is_regular_file(line.files, ignored)) {
    TMEM_TRY(auto files, read_manifest(line.files));
    return create_real_files(std::move(files));
  }
  TMEM_TRY(auto files, choose_files(split(line.files), seed, counts));
  return create_real_files(std::move(files));
}

Result<void> write_text(const std::string& path, const std::string& text) {
  if (path.empty()) return {};
  std::ofstream out(path, std::ios::trunc);
  out << text;
  out.close();
  if (!out) return fail_os("cannot write " + path);
  return {};
}

std::string summary(const RunResult& result) {
  return fmt::format("{} sectors read, {} written", result.counters.sectors_read,
                     result.counters.sectors_written);
}

Result<void> run_all(const CommandLine& line, const Model& model, Contents& contents,
                     Progress& progress, Report& report) {
  std::string tmemd = line.tmemd;
  if (tmemd.empty()) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    tmemd = (self.parent_path() / "tmemd").string();
  }
  const Experiment experiment{line.parameters, model, contents, tmemd};
  uint32_t number = 0;
  for (const Configuration& configuration : kConfigurations) {
    progress.begin(std::string(configuration.name), ++number, kConfigurations.size());
    auto result = run_configuration(configuration, experiment,
                                    [&](double part) { return progress.update(part); });
    if (!result) {
      return fail(result.error().code,
                  fmt::format("{}: {}", configuration.name, result.error().message));
    }
    progress.end(summary(*result));
    report.results.push_back({configuration.name, *std::move(result)});
  }
  return {};
}

Result<void> run(CommandLine& line, Progress& progress) {
  const Model model;
  TMEM_TRY(const std::unique_ptr<FileSource> source, open_files(line, model));
  Report report;
  report.parameters = line.parameters;
  report.files = line.files;
  report.file_count = source->files().size();
  TMEM_TRY(report.manifest, make_manifest(*source));
  TMEM_CHECK(write_text(line.manifest_path, report.manifest.text));
  TMEM_TRY(const std::unique_ptr<Contents> contents,
           Contents::create(*source, line.parameters, model));
  (void)std::fputs(heading(report, model).c_str(), stdout);
  (void)std::fflush(stdout);
  TMEM_CHECK(run_all(line, model, *contents, progress, report));
  (void)std::fputs(table(report).c_str(), stdout);
  TMEM_CHECK(write_text(line.json_path, to_json(report, model).dump(2) + "\n"));
  return write_text(line.svg_path, to_svg(report));
}

Result<void> replay(const std::string& log_path) {
  TMEM_TRY(const std::string text, run_replay(log_path));
  (void)std::fputs(text.c_str(), stdout);
  return {};
}

int exit_status(const Result<void>& done) {
  if (done) return 0;
  (void)std::fputs(fmt::format("tmem-lab: {}\n", done.error().message).c_str(), stderr);
  return kExitFailed;
}

int run_program(int argc, char** argv) {
  CommandLine line;
  if (const auto status = parse_command_line(argc, argv, line)) return *status;
  if (line.is_policies) return exit_status(policies::run_command(line.policies));
  if (line.is_replay) return exit_status(replay(line.log_path));
  auto progress = Progress::create();
  const auto done = progress ? run(line, *progress) : tl::make_unexpected(progress.error());
  const int status = exit_status(done);
  return status != 0 && progress && progress->interrupted() ? kExitInterrupted : status;
}

}  // namespace
}  // namespace tmem::lab

int main(int argc, char** argv) {
  try {
    return tmem::lab::run_program(argc, argv);
  } catch (const std::exception& error) {
    (void)std::fprintf(stderr, "tmem-lab: %s\n", error.what());
    return 1;
  }
}
