// SPDX-License-Identifier: GPL-2.0-or-later
// destroy-stall: how long another client's operations take (p99.9, wall) while a client with a
// million pages is destroyed and its memory reclaimed by another thread.
#include <atomic>
#include <cstring>
#include <thread>

#include "tests/bench/benches.h"

namespace tmem::bench {
namespace {

constexpr uint64_t kOtherPages = 4096;
constexpr size_t kOperationsMin = 20'000;

// Alternates puts and gets of `client` until `done`, at least kOperationsMin; microseconds of each.
std::vector<double> operate(TestStore& test, store::Client& client, const Buffer& pages,
                            const std::atomic<bool>& done, uint64_t& failures) {
  store::Worker worker;
  Buffer out(kPageBytes);
  std::vector<double> times;
  for (uint64_t i = 0; !done.load() || times.size() < kOperationsMin; ++i) {
    const auto key = key_of(i * 7919 % kOtherPages);
    const uint64_t start = wall_ns();
    const auto status = i % 2 == 0
                            ? test.store().put(worker, client, key, pages.page(i % kOtherPages))
                            : test.store().get(worker, client, key, out.page(0));
    times.push_back(static_cast<double>(wall_ns() - start) / 1e3);
    failures += status != store::Status::kOk && status != store::Status::kMiss;
  }
  return times;
}

Result<void> fill_big_client(TestStore& test, store::Client& client, uint64_t pages) {
  Buffer page(kPageBytes);
  for (uint64_t i = 0; i < pages; ++i) {
    std::memcpy(page.bytes().data(), &i, sizeof i);  // all different, all tiny when compressed
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
  uint64_t failures = 0;
  const std::atomic<bool> at_once{true};
  const auto calm = operate(*test, *other, contents, at_once, failures);
  std::atomic<bool> done{false};
  Result<void> reclaimed;
  std::vector<double> times;
  {
    const std::jthread reclaimer([&] {
      test->store().remove_client(*big);
      reclaimed = test->drain();
      done.store(true);
    });
    times = operate(*test, *other, contents, done, failures);
  }
  TMEM_CHECK(reclaimed);
  if (failures != 0) return fail(Errc::kConflict, "an operation of the other client failed");
  const double before = quantile(calm, 0.999);
  report.add({"destroy-stall", "-", quantile(times, 0.999), before + 1000, "us",
              Goal{1.0, Better::kLower},
              "p99.9 of an operation while " + std::to_string(pages) +
                  " pages of another client go : p99.9 before + 1 ms"});
  report.add({"destroy-stall-before", "-", before, 1000, "us", std::nullopt,
              "p99.9 of an operation before"});
  return {};
}

}  // namespace tmem::bench
