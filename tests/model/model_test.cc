// SPDX-License-Identifier: GPL-2.0-or-later
// Random operation streams on the store and on a reference store; every answer compared.
// Prints the seed of each run that differs: `--run SEED` repeats that run alone.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/model/client_subject.h"
#include "tests/model/ring_subject.h"
#include "tests/model/rng.h"
#include "tests/model/run.h"

namespace {

using tmem::model::Regime;
using tmem::model::RunOptions;
using tmem::model::RunResult;

constexpr std::string_view kUsage =
    "usage: model_test [--seed N] [--ops N] [--run-ops N] [--mode store|ring|client]\n"
    "                  [--regime ample|tight|both] [--background] [--whole-slots] [--run SEED]\n"
    "  --ops      operations in total (1000000), in runs of --run-ops (50000)\n"
    "  --run      one run with this very seed, as a difference names it; give the regime too\n"
    "  --background  another thread calls maintain() all the time (ample only)\n"
    "  --whole-slots  memory goes back in whole slots only, by shrink() instead of evict()\n";

struct Arguments {
  uint64_t seed = 1;
  uint64_t ops = 1'000'000;
  uint64_t run_ops = 50'000;
  uint64_t run_seed = 0;
  std::string_view mode = "store";
  std::string_view regime = "both";
  bool background = false;
  bool whole_slots = false;
};

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--background" || name == "--whole-slots") {
      (name == "--background" ? arguments.background : arguments.whole_slots) = true;
      continue;
    }
    if (i + 1 >= argc) return false;
    const char* value = argv[++i];
    const uint64_t number = std::strtoull(value, nullptr, 0);
    if (name == "--mode") {
      arguments.mode = value;
    } else if (name == "--regime") {
      arguments.regime = value;
    } else if (number == 0) {
      return false;
    } else if (name == "--seed") {
      arguments.seed = number;
    } else if (name == "--ops") {
      arguments.ops = number;
    } else if (name == "--run-ops") {
      arguments.run_ops = number;
    } else if (name == "--run") {
      arguments.run_seed = number;
    } else {
      return false;
    }
  }
  return (arguments.mode == "store" || arguments.mode == "ring" || arguments.mode == "client") &&
         (arguments.regime == "ample" || arguments.regime == "tight" || arguments.regime == "both");
}

// Prints the seed before the run as well, where a crash can be traced to it.
RunResult run_one(const Arguments& arguments, uint64_t seed, Regime regime) {
  const char* name = regime == Regime::kAmple ? "ample" : "tight";
  RunOptions options;
  options.seed = seed;
  options.regime = regime;
  options.ops = arguments.run_ops;
  if (arguments.mode == "ring") options.subject = tmem::model::make_ring_subject;
  if (arguments.mode == "client") {
    options.subject = tmem::model::make_client_subject;
    options.in_order = false;
  }
  options.whole_slots = arguments.whole_slots;
  options.background = arguments.background && regime == Regime::kAmple;
  (void)std::printf("run %llu %s", static_cast<unsigned long long>(seed), name);
  (void)std::fflush(stdout);
  RunResult result = tmem::model::run(options);
  (void)std::printf(": %llu ops, %llu puts, %llu hits\n",
                    static_cast<unsigned long long>(result.ops),
                    static_cast<unsigned long long>(result.puts_ok),
                    static_cast<unsigned long long>(result.hits));
  if (result.difference) {
    (void)std::printf(
        "DIFFERENCE %s\nrepeat: model_test --mode %s --regime %s --run-ops %llu%s%s --run %llu\n",
        result.difference->c_str(), std::string(arguments.mode).c_str(), name,
        static_cast<unsigned long long>(arguments.run_ops),
        arguments.background ? " --background" : "", arguments.whole_slots ? " --whole-slots" : "",
        static_cast<unsigned long long>(seed));
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    (void)std::fputs(std::string(kUsage).c_str(), stderr);
    return 2;
  }
  if (arguments.run_seed != 0) {
    const Regime regime = arguments.regime == "tight" ? Regime::kTight : Regime::kAmple;
    return run_one(arguments, arguments.run_seed, regime).difference ? 1 : 0;
  }
  const auto start = std::chrono::steady_clock::now();
  uint64_t done = 0;
  for (uint64_t i = 0; done < arguments.ops; ++i) {
    const bool tight = arguments.regime == "tight" || (arguments.regime == "both" && i % 2 == 1);
    const uint64_t seed = tmem::model::mix(arguments.seed * 1'000'000 + i) >> 1;
    const RunResult result = run_one(arguments, seed, tight ? Regime::kTight : Regime::kAmple);
    if (result.difference) return 1;
    done += result.ops;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  (void)std::printf("%llu operations, seed %llu, no difference, %.0f ops/s\n",
                    static_cast<unsigned long long>(done),
                    static_cast<unsigned long long>(arguments.seed),
                    static_cast<double>(done) / seconds.count());
  return 0;
}
