// SPDX-License-Identifier: GPL-2.0-or-later
// tmem-bench: the store's costs and density, each beside its reference, in one program.
#include <fmt/core.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <array>
#include <thread>

#include "tests/bench/benches.h"

namespace tmem::bench {
namespace {

struct CommandLine {
  std::vector<std::string> corpora;
  std::vector<std::string> only;
  std::vector<std::string> compare;
  std::string json;
  Settings settings;
};

constexpr std::array kPerCorpus{bench_put,   bench_duplicate, bench_get,    bench_density,
                                bench_arena, bench_zram,      bench_threads};
constexpr std::array kOnce{bench_same_filled, bench_metadata, bench_destroy, bench_weights,
                           bench_limits};

constexpr const char* kHelp =
    "Costs and density of tmem's page store, each beside its reference, measured in turns in one\n"
    "process. ids: P1 P1-path P2 P3 P4 P5 P6 P7 P8 P9 (CPU time of puts and gets), D1 D2 D4 D6\n"
    "density (memory), C1 destroy-stall (concurrency), weights persistent-priority cap "
    "(fairness).\n"
    "tools/corpus makes corpora; docs/performance.md explains each id.";

// Smoke runs show that everything works; their figures mean nothing.
void make_small(Settings& settings) {
  settings.smoke = true;
  settings.rounds = 1;
  settings.pages_min = 64;
  settings.round_pages = 512;
  settings.many_pages = 20'000;
}

Result<void> run(const CommandLine& line) {
  Report report(line.only);
  const Context context{line.settings, report};
  for (const auto bench : kOnce) TMEM_CHECK(bench(context));
  for (const std::string& path : line.corpora) {
    TMEM_TRY(const Corpus corpus, Corpus::load(path));
    fmt::print(stderr, "{}: {} pages, {} different compressible, {} incompressible\n",
               corpus.name(), corpus.pages(), corpus.compressible().size(),
               corpus.incompressible().size());
    for (const auto bench : kPerCorpus) TMEM_CHECK(bench(context, corpus));
  }
  if (line.json != "-") report.print_table();
  if (!line.json.empty()) TMEM_CHECK(report.write_json(line.json));
  if (report.rows().empty())
    return fail(Errc::kNotFound,
                "nothing was measured: --only names no id, or no --corpus was given for it");
  return {};
}

// Returns the exit status if the program ends here.
std::optional<int> parse(int argc, char** argv, CommandLine& line) {
  bool smoke = false;
  CLI::App app{kHelp, "tmem-bench"};
  try {
    app.add_option("--corpus", line.corpora, "files of raw 4 KiB pages")->check(CLI::ExistingFile);
    app.add_option("--only", line.only, "ids to measure; P1 includes P1-path")->delimiter(',');
    app.add_option("--json", line.json, "write the rows there; - is standard output");
    app.add_option("--rounds", line.settings.rounds, "of each measurement; the median counts")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    app.add_option("--many-pages", line.settings.many_pages, "pages of D4 and destroy-stall")
        ->check(CLI::Range(1000, 64'000'000))
        ->capture_default_str();
    app.add_flag("--smoke", smoke, "tiny sizes: only shows that everything runs");
    app.add_option("--compare", line.compare, "two JSON files: print how the ratios changed")
        ->expected(2);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  if (smoke) make_small(line.settings);
  return std::nullopt;
}

}  // namespace
}  // namespace tmem::bench

int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape): only for lack of memory
  // glibc would otherwise raise the threshold as the corpora come and go, and then serve large
  // zeroed arrays from touched memory: the growth of this process would depend on what ran before.
  (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  tmem::bench::CommandLine line;
  if (const auto status = parse(argc, argv, line)) return *status;
  const auto done = line.compare.empty()
                        ? tmem::bench::run(line)
                        : tmem::bench::compare_reports(line.compare[0], line.compare[1]);
  if (done) return 0;
  fmt::print(stderr, "tmem-bench: {}\n", done.error().message);
  return 1;
}
