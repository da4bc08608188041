// SPDX-License-Identifier: GPL-2.0-or-later
// D6: density over everything (growth of this process, dedup scope host) against zram with LZ4 and
// its table, on the same pages.
#include "tests/bench/benches.h"
#include "tests/bench/zram.h"

namespace tmem::bench {
namespace {

double goal_of(const std::string& corpus) {
  if (corpus == "guests") return 1.3;
  if (corpus == "file") return 1.01;
  return corpus == "rand" ? 0.99 : 0.98;
}

Result<double> zram_bytes(const Corpus& corpus) {
  TMEM_TRY(const auto device, Zram::create(corpus.pages() * kPageBytes));
  // The corpus is one piece of memory: page 0 is its start.
  TMEM_CHECK(device->write({corpus.page(0).data(), corpus.pages() * kPageBytes}));
  TMEM_TRY(const uint64_t used, device->used_bytes());
  return static_cast<double>(used);
}

}  // namespace

Result<void> bench_zram(const Context& context, const Corpus& corpus) {
  Report& report = context.report;
  if (!report.wants("D6")) return {};
  const auto theirs = zram_bytes(corpus);
  if (!theirs) {
    report.skip("D6", corpus.name(), theirs.error().message);
    return {};
  }
  const uint64_t before = resident_set_bytes();
  TMEM_TRY(const auto test, TestStore::create({.budget_bytes = roomy_budget(corpus.pages()),
                                               .touched = false,
                                               .nursery_percent = 10}));
  store::ClientSettings settings;
  settings.dedup = store::DedupScope::kHost;
  TMEM_TRY(const auto client, test->add_client("guest", store::Kind::kEphemeral, settings));
  for (size_t i = 0; i < corpus.pages(); ++i) {
    TMEM_CHECK(test->put(*client, key_of(i), corpus.page(i)));
    if (i % 1024 == 1023) (void)test->store().maintain(test->worker(), 256);
  }
  TMEM_CHECK(test->age());
  TMEM_CHECK(test->rest());
  const auto ours = static_cast<double>(resident_set_bytes() - before);
  const auto apparent = static_cast<double>(corpus.pages() * kPageBytes);
  report.add({"D6", corpus.name(), apparent / ours, apparent / *theirs, "x",
              Goal{goal_of(corpus.name()), Better::kHigher},
              "apparent/RSS growth, scope host : zram lz4 with its table"});
  return {};
}

}  // namespace tmem::bench
