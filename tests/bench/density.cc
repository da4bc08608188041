// SPDX-License-Identifier: GPL-2.0-or-later
// Apparent bytes over bytes held, arena and metadata, for four clients that share a corpus (runs of
// 16 pages in turn, as tools/corpus interleaves its guests), with each dedup scope. The reference
// is the ratio of zero pages + exact dedup in the same scope + liblz4, which needs no metadata at
// all.
#include <set>
#include <utility>

#include "tests/bench/benches.h"

namespace tmem::bench {
namespace {

constexpr size_t kClients = 4;

constexpr size_t kRunPages = 16;

size_t client_of(size_t page) {
  return page / kRunPages % kClients;
}
// Its number within the client: dense, as a guest's own pages are.
size_t number_of(size_t page) {
  return page / kRunPages / kClients * kRunPages + page % kRunPages;
}

// Clients with the same number here share contents.
size_t domain_of(store::DedupScope scope, size_t client) {
  if (scope == store::DedupScope::kHost) return 0;
  return scope == store::DedupScope::kGroup ? client / 2 : client;
}

double ideal_bytes(const Corpus& corpus, store::DedupScope scope) {
  std::set<std::pair<size_t, uint32_t>> seen;
  double bytes = 0;
  for (size_t i = 0; i < corpus.pages(); ++i)
    if (!corpus.same_filled(i) &&
        seen.emplace(domain_of(scope, client_of(i)), corpus.first_equal(i)).second)
      bytes += corpus.lz4_bytes(i);
  return bytes;
}

struct Held {
  double lz4 = 0;
  double lz4_resident = 0;  // growth of this process
  double zstd = 0;
};

Result<Held> fill(const Corpus& corpus, store::DedupScope scope) {
  const uint64_t resident_before = resident_set_bytes();
  TMEM_TRY(const auto test, TestStore::create({.budget_bytes = roomy_budget(corpus.pages()),
                                               .zstd = true,
                                               .touched = false,
                                               .nursery_percent = 10}));
  std::vector<store::ClientRef> clients;
  for (size_t c = 0; c < kClients; ++c) {
    store::ClientSettings settings;
    settings.dedup = scope;
    settings.dedup_group = "group" + std::to_string(c / 2);
    TMEM_TRY(auto client,
             test->add_client("guest" + std::to_string(c), store::Kind::kEphemeral, settings));
    clients.push_back(std::move(client));
  }
  for (size_t i = 0; i < corpus.pages(); ++i) {
    TMEM_CHECK(test->put(*clients[client_of(i)], key_of(number_of(i)), corpus.page(i)));
    if (i % 1024 == 1023) (void)test->store().maintain(test->worker(), 256);
  }
  TMEM_CHECK(test->age());
  TMEM_CHECK(test->rest());
  Held held;
  const auto stats = test->store().stats();
  if (stats.pages[0] != corpus.pages())
    return fail(Errc::kConflict, "pages were lost although there is room");
  held.lz4 = static_cast<double>(stats.held_bytes);
  held.lz4_resident = static_cast<double>(resident_set_bytes() - resident_before);
  TMEM_CHECK(test->age(true));
  held.zstd = static_cast<double>(test->store().stats().held_bytes);
  return held;
}

}  // namespace

Result<void> bench_density(const Context& context, const Corpus& corpus) {
  Report& report = context.report;
  if (!report.wants_group("density")) return {};
  const auto apparent = static_cast<double>(corpus.pages() * kPageBytes);
  double zero_pages = 0;
  for (size_t i = 0; i < corpus.pages(); ++i) zero_pages += corpus.zero(i) ? 1 : 0;
  const double without_zero = apparent - zero_pages * kPageBytes;
  for (const auto scope :
       {store::DedupScope::kClient, store::DedupScope::kGroup, store::DedupScope::kHost}) {
    const std::string id = "density-" + std::string(to_string(scope));
    TMEM_TRY(const Held held, fill(corpus, scope));
    const double ideal = ideal_bytes(corpus, scope);
    const auto row = [&](const std::string& name, double value, double reference,
                         std::optional<Goal> goal, const char* note) {
      report.add({name, corpus.name(), value, reference, "x", goal, note});
    };
    row(id, apparent / held.lz4, apparent / ideal, Goal{0.95, Better::kHigher},
        "apparent/held bytes : zero + exact dedup + liblz4");
    row(id + "-nonzero", without_zero / held.lz4, without_zero / ideal, std::nullopt,
        "the same without zero pages");
    row(id + "-resident", apparent / held.lz4_resident, apparent / held.lz4, std::nullopt,
        "apparent/RSS growth : apparent/held");
    row(id + "-zstd", apparent / held.zstd, apparent / held.lz4, std::nullopt,
        "all pages in the zstd tier : all with LZ4");
    if (scope == store::DedupScope::kHost && corpus.name() == "guests")
      row("density-quadruple", apparent / held.lz4, 1, Goal{3.9, Better::kHigher},
          "apparent/held bytes, scope host");
  }
  return {};
}

}  // namespace tmem::bench
