// SPDX-License-Identifier: GPL-2.0-or-later
// destroy-stall: how long another client's operations take (p99.9, wall) while a client with a
// million pages is destroyed and its memory reclaimed by another thread.
#include <sys/resource.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "tests/bench/benches.h"
#include "tests/bench/reference.h"

namespace tmem::bench {
namespace {

constexpr uint64_t kOtherPages = 4096;
constexpr size_t kCalmOperations = 20'000;

struct Latencies {
  std::vector<double> all;      // microseconds of each operation
  std::vector<double> running;  // of those during which the system did not take the CPU away
  uint64_t failures = 0;
};

// How often the scheduler gave this thread's CPU to another one that wanted it.
long preemptions() {
  rusage usage{};
  TMEM_ASSERT(getrusage(RUSAGE_THREAD, &usage) == 0);
  return usage.ru_nivcsw;
}

// Alternates puts and gets of `client` until `done`, at least `operations_min`.
Latencies operate(TestStore& test, store::Client& client, const Buffer& pages,
                  const std::atomic<bool>& done, size_t operations_min) {
  store::Worker worker;
  Buffer out(kPageBytes);
  Latencies times;
  for (uint64_t i = 0; !done.load() || times.all.size() < operations_min; ++i) {
    const auto key = key_of(i * 7919 % kOtherPages);
    const long preempted = preemptions();
    const uint64_t start = wall_ns();
    const auto status = i % 2 == 0
                            ? test.store().put(worker, client, key, pages.page(i % kOtherPages))
                            : test.store().get(worker, client, key, out.page(0));
    const double us = static_cast<double>(wall_ns() - start) / 1e3;
    times.all.push_back(us);
    if (preemptions() == preempted) times.running.push_back(us);
    times.failures += status != store::Status::kOk && status != store::Status::kMiss;
  }
  return times;
}

// The same operations while another thread computes and touches nothing of ours: what the machine
// alone does to latencies.
Latencies operate_beside_a_busy_thread(TestStore& test, store::Client& client,
                                       const Buffer& pages) {
  std::atomic<bool> stop{false};
  const std::jthread busy([&] {
    Codec codec;
    for (uint64_t i = 0; !stop.load(); ++i) (void)codec.reference_s(pages.page(i % kOtherPages));
  });
  auto times = operate(test, client, pages, std::atomic<bool>{true}, kCalmOperations);
  stop.store(true);
  return times;
}

Result<void> fill_big_client(TestStore& test, store::Client& client, uint64_t pages) {
  Buffer page(kPageBytes);
  for (uint64_t i = 0; i < pages; ++i) {
    const uint64_t word = i + 1;  // all different, all tiny when compressed, none zero
    std::memcpy(page.bytes().data(), &word, sizeof word);
    TMEM_CHECK(test.put(client, key_of(i), page.page(0)));
    if (i % 4096 == 4095) TMEM_CHECK(test.age());
  }
  return test.age();
}

}  // namespace

Result<void> bench_destroy(const Context& context) {
  Report& report = context.report;
  if (!report.wants_group("destroy-stall")) return {};
  if (std::thread::hardware_concurrency() < 2) {
    report.skip("destroy-stall", "-", "this machine has one CPU");
    return {};
  }
  const uint64_t pages = context.settings.many_pages;
  TMEM_TRY(const auto test, TestStore::create({.budget_bytes = pages * 256 + 512 * kMiB,
                                               .touched = false,
                                               .nursery_percent = 10}));
  TMEM_TRY(const auto big, test->add_client("big", store::Kind::kEphemeral));
  TMEM_TRY(const auto other, test->add_client("other", store::Kind::kPersistent));
  TMEM_CHECK(fill_big_client(*test, *big, pages));
  Buffer contents(kOtherPages * kPageBytes);
  for (uint64_t i = 0; i < kOtherPages; ++i)
    for (size_t at = 0; at < kPageBytes / 8; ++at) {
      const uint64_t word = (i * 511 + at) * 0x9e3779b97f4a7c15;
      std::memcpy(&contents.page(i)[at * 8], &word, 8);
    }
  const Latencies calm = operate_beside_a_busy_thread(*test, *other, contents);
  std::atomic<bool> done{false};
  Result<void> reclaimed;
  Latencies during;
  {
    const std::jthread reclaimer([&] {
      test->store().remove_client(*big);
      reclaimed = test->drain();
      done.store(true);
    });
    during = operate(*test, *other, contents, done, 1);
  }
  TMEM_CHECK(reclaimed);
  if (calm.failures + during.failures != 0)
    return fail(Errc::kConflict, "an operation of the other client failed");
  const std::string what =
      " of an operation while " + std::to_string(pages) + " pages of another client go";
  const auto row = [&](const char* id, const std::vector<double>& times,
                       const std::vector<double>& before, double q, std::optional<Goal> goal,
                       const std::string& note) {
    report.add({id, "-", quantile(times, q), quantile(before, q) + 1000, "us", goal, note});
  };
  row("destroy-stall", during.running, calm.running, 0.999, Goal{1.0, Better::kLower},
      "p99.9" + what + " : beside a busy thread + 1 ms");
  row("destroy-stall-wall", during.all, calm.all, 0.999, std::nullopt,
      "the same with operations that the scheduler interrupted");
  row("destroy-stall-max", during.running, calm.running, 1, std::nullopt, "longest" + what);
  return {};
}

}  // namespace tmem::bench
