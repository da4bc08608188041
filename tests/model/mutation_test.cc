// SPDX-License-Identifier: GPL-2.0-or-later
// Would the model test notice? For each seeded fault of libtmem/base/mutation.h, built into a
// second variant of store and ring, it must find a difference within a million operations, from
// each of three seeds; and none without a fault.
#include "libtmem/base/mutation.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/model/client_subject.h"
#include "tests/model/ring_subject.h"
#include "tests/model/rng.h"
#include "tests/model/run.h"

namespace tmem {
// What TMEM_MUTATED compares with, in the libraries built with TMEM_MUTATIONS.
Mutation active_mutation = Mutation::kNone;
}  // namespace tmem

namespace {

using tmem::Mutation;

enum class Layer : uint8_t { kStore, kRing, kClient };

struct Fault {
  Mutation mutation;
  std::string_view name;
  Layer layer;
};

constexpr std::array kFaults = {
    Fault{Mutation::kNone, "none", Layer::kStore},
    Fault{Mutation::kNone, "none, ring", Layer::kRing},
    Fault{Mutation::kNone, "none, client", Layer::kClient},
    Fault{Mutation::kSkipFlushPage, "skip-flush-page", Layer::kStore},
    Fault{Mutation::kSkipFlushObject, "skip-flush-object", Layer::kStore},
    Fault{Mutation::kSkipFlushPool, "skip-flush-pool", Layer::kStore},
    Fault{Mutation::kDestroyKeepsPages, "destroy-keeps-pages", Layer::kStore},
    Fault{Mutation::kNonExclusiveGet, "non-exclusive-get", Layer::kStore},
    Fault{Mutation::kSharedGetExclusive, "shared-get-exclusive", Layer::kStore},
    Fault{Mutation::kPersistentGetExclusive, "persistent-get-exclusive", Layer::kStore},
    Fault{Mutation::kKeepOldAfterFailedPut, "keep-old-after-failed-put", Layer::kStore},
    Fault{Mutation::kOverwriteKeepsOld, "overwrite-keeps-old", Layer::kStore},
    Fault{Mutation::kWrongPool, "wrong-pool", Layer::kStore},
    Fault{Mutation::kWrongClient, "wrong-client", Layer::kStore},
    Fault{Mutation::kOidIgnoresHighWord, "oid-ignores-high-word", Layer::kStore},
    Fault{Mutation::kIndexTruncated, "index-truncated", Layer::kStore},
    Fault{Mutation::kSameFilledTruncated, "same-filled-truncated", Layer::kStore},
    Fault{Mutation::kDedupWithoutCompare, "dedup-without-compare", Layer::kStore},
    Fault{Mutation::kDedupForgetsReference, "dedup-forgets-reference", Layer::kStore},
    Fault{Mutation::kMoveOffByOne, "move-off-by-one", Layer::kStore},
    Fault{Mutation::kCompressDropsTail, "compress-drops-tail", Layer::kStore},
    Fault{Mutation::kCleanerDropsLive, "cleaner-drops-live", Layer::kStore},
    Fault{Mutation::kEvictsPersistent, "evicts-persistent", Layer::kStore},
    Fault{Mutation::kCapOffByOne, "cap-off-by-one", Layer::kStore},
    Fault{Mutation::kFrozenAcceptsNew, "frozen-accepts-new", Layer::kStore},
    Fault{Mutation::kGetShort, "get-short", Layer::kRing},
    Fault{Mutation::kWrongSlot, "wrong-slot", Layer::kRing},
    Fault{Mutation::kResponseSwapped, "response-swapped", Layer::kRing},
    Fault{Mutation::kRequestSkipped, "request-skipped", Layer::kRing},
    Fault{Mutation::kRequestRunTwice, "request-run-twice", Layer::kRing},
    Fault{Mutation::kStaleEpochAccepted, "stale-epoch-accepted", Layer::kRing},
    Fault{Mutation::kKeyOnTwoQueues, "key-on-two-queues", Layer::kClient},
};

constexpr uint64_t kOpsMax = 1'000'000;
constexpr uint64_t kRunOps = 20'000;
constexpr uint64_t kSeeds = 3;
constexpr unsigned kSecondsMax = 120;  // of one hunt; a fault may make the store loop

// What one hunt tells its parent.
struct Finding {
  uint64_t ops = 0;
  bool caught = false;
  std::array<char, 160> what{};
};

// Runs until a difference or `ops_max`. Every other ample run has a thread that moves pages.
Finding hunt(const Fault& fault, uint64_t seed, uint64_t ops_max) {
  tmem::active_mutation = fault.mutation;
  Finding finding;
  for (uint64_t i = 0; finding.ops < ops_max && !finding.caught; ++i) {
    tmem::model::RunOptions options;
    options.seed = tmem::model::mix(seed * 1'000'003 + i) >> 1;
    options.regime = i % 2 == 1 ? tmem::model::Regime::kTight : tmem::model::Regime::kAmple;
    options.background = i % 4 == 2;
    options.ops = kRunOps;
    if (fault.layer == Layer::kRing) options.subject = tmem::model::make_ring_subject;
    if (fault.layer == Layer::kClient) {
      options.subject = tmem::model::make_client_subject;
      options.in_order = false;
    }
    const tmem::model::RunResult result = tmem::model::run(options);
    finding.ops += result.ops;
    if (!result.difference) continue;
    finding.caught = true;
    result.difference->copy(finding.what.data(), finding.what.size() - 1);
  }
  return finding;
}

struct Hunt {
  const Fault* fault = nullptr;
  uint64_t seed = 0;
  int pipe_fd = -1;
  Finding finding;
};

// A process for each hunt, as the active mutation is one for the process and a fault may crash it.
bool start(Hunt& hunt_info, uint64_t ops_max, std::map<pid_t, Hunt*>& running) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return false;
  const pid_t pid = fork();
  if (pid < 0) return false;
  if (pid == 0) {
    (void)close(ends[0]);
    (void)alarm(kSecondsMax);
    const Finding finding = hunt(*hunt_info.fault, hunt_info.seed, ops_max);
    const bool told = write(ends[1], &finding, sizeof finding) == ssize_t{sizeof finding};
    _exit(told ? 0 : 1);
  }
  (void)close(ends[1]);
  hunt_info.pipe_fd = ends[0];
  running[pid] = &hunt_info;
  return true;
}

void finish_one(std::map<pid_t, Hunt*>& running) {
  int status = 0;
  const pid_t pid = waitpid(-1, &status, 0);
  const auto it = running.find(pid);
  if (it == running.end()) return;
  Hunt& done = *it->second;
  if (read(done.pipe_fd, &done.finding, sizeof done.finding) != ssize_t{sizeof done.finding}) {
    done.finding.caught = true;
    const std::string what = "ended by signal " + std::to_string(WTERMSIG(status));
    what.copy(done.finding.what.data(), done.finding.what.size() - 1);
  }
  (void)close(done.pipe_fd);
  running.erase(it);
}

// One line a fault. False if it was missed, or something was found where nothing is wrong.
bool report(const std::vector<Hunt>& hunts, const Fault& fault) {
  std::string line;
  std::string_view what;
  bool good = true;
  for (const Hunt& one : hunts) {
    if (one.fault != &fault) continue;
    line += " " +
            std::string(9 - std::min<size_t>(9, std::to_string(one.finding.ops).size()), ' ') +
            std::to_string(one.finding.ops) + (one.finding.caught ? " " : "-");
    if (one.finding.caught) what = one.finding.what.data();
    good = good && one.finding.caught == (fault.mutation != Mutation::kNone);
  }
  what = what.substr(0, what.find('\n'));
  (void)std::printf("%-26s %s  %s %s\n", std::string(fault.name).c_str(), line.c_str(),
                    good ? "ok    " : "FAILED", std::string(what).c_str());
  return good;
}

}  // namespace

// mutation_test [JOBS [NAME]]: how many processes at once; only the faults whose name has NAME.
int main(int argc, char** argv) {
  const long jobs = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 2;
  const std::string_view only = argc > 2 ? argv[2] : "";
  if (jobs < 1) {
    (void)std::fputs("usage: mutation_test [JOBS [NAME]]\n", stderr);
    return 2;
  }
  std::vector<Hunt> hunts;
  for (const Fault& fault : kFaults)
    for (uint64_t seed = 1; seed <= kSeeds && fault.name.find(only) != std::string_view::npos;
         ++seed)
      hunts.push_back({&fault, seed, -1, {}});
  std::map<pid_t, Hunt*> running;
  for (Hunt& one : hunts) {
    while (running.size() >= static_cast<size_t>(jobs)) finish_one(running);
    const uint64_t ops_max = one.fault->mutation == Mutation::kNone ? kOpsMax / 5 : kOpsMax;
    if (!start(one, ops_max, running)) return 1;
  }
  while (!running.empty()) finish_one(running);

  (void)std::printf("operations until caught, by seed (- not caught)\n");
  bool good = !hunts.empty();
  for (const Fault& fault : kFaults)
    if (fault.name.find(only) != std::string_view::npos) good = report(hunts, fault) && good;
  return good ? 0 : 1;
}
