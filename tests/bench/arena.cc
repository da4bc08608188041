// SPDX-License-Identifier: GPL-2.0-or-later
// D1: bytes held by the arena over payload, payload >= 1 GiB; D2: the same at about 100 MiB.
// D4: metadata of a stored page, with many pages in dense objects of 64.
#include <cstring>
#include <numeric>

#include "tests/bench/benches.h"

namespace tmem::bench {
namespace {

// Puts `copies` of the corpus's distinct pages without dedup, and measures the arena when all are
// compressed.
Result<Row> arena_row(const Corpus& corpus, const std::string& id, size_t copies, double bound) {
  std::vector<uint32_t> pages = corpus.compressible();
  pages.insert(pages.end(), corpus.incompressible().begin(), corpus.incompressible().end());
  uint64_t payload = 0;
  for (const uint32_t page : pages) payload += corpus.lz4_bytes(page) * copies;
  const uint64_t room = payload * 5 / 4 + pages.size() * copies * 128 + 256 * kMiB;
  TMEM_TRY(const auto test,
           TestStore::create({.budget_bytes = room, .touched = false, .nursery_percent = 5}));
  store::ClientSettings settings;
  settings.dedup = store::DedupScope::kNone;
  TMEM_TRY(const auto client, test->add_client("guest", store::Kind::kEphemeral, settings));
  uint64_t next = 0;
  for (size_t copy = 0; copy < copies; ++copy)
    for (const uint32_t page : pages) {
      TMEM_CHECK(test->put(*client, key_of(next), corpus.page(page)));
      if (++next % 1024 == 0) TMEM_CHECK(test->age());
    }
  TMEM_CHECK(test->age());
  TMEM_CHECK(test->rest());
  const auto stats = test->store().stats();
  if (stats.pages[0] != next)
    return fail(Errc::kConflict, "pages were lost although there is room");
  const double stored = static_cast<double>(
      std::accumulate(stats.stored_bytes.begin(), stats.stored_bytes.end(), uint64_t{0}));
  return Row{
      id,
      corpus.name(),
      static_cast<double>(stats.held_bytes - stats.metadata_bytes) / static_cast<double>(kMiB),
      stored / static_cast<double>(kMiB),
      "MiB",
      Goal{bound, Better::kLower},
      "bytes of the arena : payload"};
}

}  // namespace

Result<void> bench_arena(const Context& context, const Corpus& corpus) {
  Report& report = context.report;
  if (report.wants("D2")) {
    TMEM_TRY(Row row, arena_row(corpus, "D2", 1, 1.05));
    report.add(std::move(row));
  }
  if (!report.wants("D1")) return {};
  uint64_t payload = 1;
  for (const auto* pages : {&corpus.compressible(), &corpus.incompressible()})
    for (const uint32_t page : *pages) payload += corpus.lz4_bytes(page);
  const uint64_t want = context.settings.smoke ? 2 * payload : kGiB;
  if (available_memory_bytes() < want * 2 + kGiB) {
    report.skip("D1", corpus.name(), "less than 3 GiB of memory are available");
    return {};
  }
  TMEM_TRY(Row row, arena_row(corpus, "D1", (want + payload - 1) / payload, 1.03));
  report.add(std::move(row));
  return {};
}

Result<void> bench_metadata(const Context& context) {
  Report& report = context.report;
  if (!report.wants("D4")) return {};
  const uint64_t pages = context.settings.many_pages;
  TMEM_TRY(const auto test, TestStore::create({.budget_bytes = pages * 256 + 512 * kMiB,
                                               .touched = false,
                                               .nursery_percent = 10}));
  TMEM_TRY(const auto client, test->add_client("guest", store::Kind::kEphemeral));
  Buffer page(kPageBytes);
  for (uint64_t i = 0; i < pages; ++i) {
    const uint64_t word = i + 1;  // all different, all tiny when compressed, none zero
    std::memcpy(page.bytes().data(), &word, sizeof word);
    TMEM_CHECK(test->put(*client, key_of(i), page.page(0)));
    if (i % 4096 == 4095) TMEM_CHECK(test->age());
  }
  TMEM_CHECK(test->age());
  TMEM_CHECK(test->rest());
  const auto stats = test->store().stats();
  if (stats.contents != pages)
    return fail(Errc::kConflict, "pages were lost although there is room");
  report.add({"D4", "-", static_cast<double>(stats.metadata_bytes) / static_cast<double>(pages), 1,
              "bytes", Goal{96, Better::kLower},
              "metadata of a page, " + std::to_string(pages) + " different pages"});
  return {};
}

}  // namespace tmem::bench
