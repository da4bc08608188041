// SPDX-License-Identifier: GPL-2.0-or-later
// Budget, guarantees, and memory that goes back to where it came from.
#include "tests/unit/store_world.h"

namespace tmem::store {
namespace {

// What a persistent page of noise may cost its client's guarantee: the page, its records, its part
// of a segment's list; beside it the segments that are open.
constexpr uint64_t kPagePrice = kPageBytes + 128;
constexpr uint64_t kOpenPrice = 512 * kKiB;

ClientSettings guaranteed(uint64_t bytes) {
  ClientSettings settings;
  settings.guarantee_bytes = bytes;
  return settings;
}

void fill_with_ephemeral(World& w, const ClientRef& client, uint32_t pages) {
  for (uint32_t i = 0; i < pages; ++i)
    (void)w.put(client, key(0, 1000 + i / 256, i), noise(1'000'000 + i));
}

}  // namespace

TEST_CASE("a store refuses options that make no sense", "[store][capacity]") {
  const ManualClock clock;
  const auto provider = memory::create_memfd_provider({.bytes_max = 16 * kMiB});
  REQUIRE(provider);
  const auto code = [&](const Options& options) {
    const auto store = Store::create(options, **provider, clock, 1);
    REQUIRE_FALSE(store);
    CHECK_FALSE(store.error().message.empty());
    return store.error().code;
  };
  CHECK(code({.budget_bytes = 3 * kMiB}) == Errc::kMalformed);
  CHECK(code({.budget_bytes = 8 * kMiB, .nursery_percent = 101}) == Errc::kMalformed);
  CHECK(code({.budget_bytes = 32 * kMiB}) == Errc::kNoSpace);
}

TEST_CASE("persistent pages within the guarantee are all accepted in a pool full of ephemeral ones",
          "[store][capacity]") {
  World w({.budget_bytes = 64 * kMiB});
  const ClientRef a = w.add(1);
  const ClientRef b = w.add(2, guaranteed(24 * kMiB));
  fill_with_ephemeral(w, a, 20'000);
  constexpr auto kPages = static_cast<uint32_t>((24 * kMiB - kOpenPrice) / kPagePrice);
  uint32_t refused = 0;
  for (uint32_t i = 0; i < kPages; ++i) {
    refused += w.put(b, key(1, i / 300, i), noise(i)) != Status::kOk;
    if (i % 8 == 0) (void)w.put(a, key(0, 5000, i), noise(2'000'000 + i));
  }
  CHECK(refused == 0);
  CHECK(w.charged(b, Kind::kPersistent) <= 24 * kMiB);
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < kPages; ++i) wrong += !w.get_is(b, key(1, i / 300, i), noise(i));
  CHECK(wrong == 0);
  CHECK(w.store->stats().held_bytes <= 64 * kMiB);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a guarantee holds through overwrites and flushes", "[store][capacity]") {
  World w({.budget_bytes = 64 * kMiB});
  const ClientRef a = w.add(1);
  const ClientRef b = w.add(2, guaranteed(16 * kMiB));
  fill_with_ephemeral(w, a, 20'000);
  // Two thirds of the guarantee are live; the rest is for the holes that churn leaves.
  constexpr auto kPages = static_cast<uint32_t>(16 * kMiB / kPagePrice * 2 / 3);
  uint32_t refused = 0;
  model::Rng rng(5);
  for (uint32_t i = 0; i < 40'000; ++i) {
    const uint32_t page = i < kPages ? i : rng.below(kPages);
    if (i >= kPages && rng.one_in(4)) (void)w.flush(b, key(1, page / 300, page));
    refused += w.put(b, key(1, page / 300, page), noise(page * 7 + i)) != Status::kOk;
    if (i % 8 == 0) (void)w.put(a, key(0, 5000, i), noise(2'000'000 + i));
    if (i % 500 == 0) (void)w.store->maintain(w.worker, 16);
  }
  CHECK(refused == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("guarantees that do not fit are refused, and the old settings stay",
          "[store][capacity]") {
  World w({.budget_bytes = 64 * kMiB});
  const ClientRef a = w.add(1, guaranteed(30 * kMiB));
  const auto b = w.store->add_client({uuid_of(2), DomId{2}, "b"}, guaranteed(40 * kMiB));
  REQUIRE_FALSE(b);
  CHECK(b.error().code == Errc::kNoSpace);
  const auto whole = w.store->configure(*a, guaranteed(64 * kMiB));  // no room for the reserve
  REQUIRE_FALSE(whole);
  CHECK(whole.error().code == Errc::kNoSpace);
  CHECK(w.store->settings(*a).guarantee_bytes == 30 * kMiB);
  CHECK(w.store->stats().guaranteed_bytes == 30 * kMiB);
  CHECK(w.store->add_client({uuid_of(3), DomId{3}, "c"}, guaranteed(20 * kMiB)));
  // What a dead client was promised can be promised again.
  w.store->remove_client(*a);
  CHECK(w.settle());
  CHECK(w.store->add_client({uuid_of(4), DomId{4}, "d"}, guaranteed(30 * kMiB)));
}

TEST_CASE("a smaller budget gives memory back to the operating system", "[store][capacity]") {
  World w({.budget_bytes = 64 * kMiB});
  const ClientRef c = w.add(1, guaranteed(8 * kMiB));
  for (uint32_t i = 0; i < 1000; ++i) REQUIRE(w.put(c, key(1, 1, i), noise(i)) == Status::kOk);
  fill_with_ephemeral(w, c, 20'000);
  const uint64_t before = w.provider->resident_bytes();
  REQUIRE(before > 50 * kMiB);
  REQUIRE(w.store->set_budget(32 * kMiB));
  CHECK(w.settle());
  const StoreStats stats = w.store->stats();
  CHECK(stats.budget_bytes == 32 * kMiB);
  CHECK(stats.held_bytes <= 32 * kMiB);
  CHECK(stats.released_slots > 0);
  CHECK(w.provider->resident_bytes() <= 32 * kMiB);
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < 1000; ++i) wrong += !w.get_is(c, key(1, 1, i), noise(i));
  CHECK(wrong == 0);
  REQUIRE(w.store->set_budget(64 * kMiB));
  fill_with_ephemeral(w, c, 20'000);
  CHECK(w.provider->resident_bytes() > 50 * kMiB);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a growing pool has memory ready, within its budget, and a resting one has none",
          "[store][capacity]") {
  World w({.budget_bytes = 256 * kMiB, .lz4_after_ms = 1'000'000});
  const ClientRef c = w.add(1);
  fill_with_ephemeral(w, c, 40'000);  // 160 MiB raw
  (void)w.store->maintain(w.worker, 1000);
  const StoreStats busy = w.store->stats();
  CHECK(w.provider->resident_bytes() >= busy.held_bytes - busy.metadata_bytes);
  CHECK(busy.held_bytes <= 256 * kMiB);
  fill_with_ephemeral(w, c, 30'000);
  while (w.store->maintain(w.worker, 1000)) {
  }
  CHECK(w.store->stats().held_bytes <= 256 * kMiB);
  CHECK(w.provider->resident_bytes() <= 256 * kMiB);
  CHECK(w.settle());
  w.clock.advance_ms(20'000);
  (void)w.store->maintain(w.worker, 1000);
  (void)w.store->maintain(w.worker, 1000);
  CHECK(w.provider->resident_bytes() <= w.store->stats().held_bytes);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a budget that is too small or too large is refused", "[store][capacity]") {
  World w({.budget_bytes = 64 * kMiB}, 96 * kMiB);
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 8000; ++i) REQUIRE(w.put(c, key(1, 1, i), noise(i)) == Status::kOk);
  const auto code = [&](uint64_t bytes) {
    const auto done = w.store->set_budget(bytes);
    REQUIRE_FALSE(done);
    CHECK(w.store->stats().budget_bytes == 64 * kMiB);
    return done.error().code;
  };
  CHECK(code(24 * kMiB) == Errc::kNoSpace);   // 31 MiB are persistent
  CHECK(code(512 * kMiB) == Errc::kNoSpace);  // the provider has 96
  const auto promised = w.store->add_client({uuid_of(2), DomId{2}, "b"}, guaranteed(20 * kMiB));
  REQUIRE(promised);
  CHECK(code(48 * kMiB) == Errc::kNoSpace);
  CHECK(w.store->set_budget(96 * kMiB));
}

TEST_CASE("evict frees what is asked for and leaves persistent pages alone", "[store][capacity]") {
  World w({.budget_bytes = 64 * kMiB});
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 1000; ++i) REQUIRE(w.put(c, key(1, 1, i), noise(i)) == Status::kOk);
  fill_with_ephemeral(w, c, 8'000);
  CHECK(w.settle());
  const StoreStats before = w.store->stats();
  const uint64_t resident = w.provider->resident_bytes();
  CHECK(before.freeable_bytes >= 64 * kMiB - 12 * kMiB);
  CHECK(w.store->evict(w.worker, 8 * kMiB) >= 8 * kMiB);
  CHECK(w.provider->resident_bytes() + 8 * kMiB <= resident);
  CHECK(w.store->stats().pages[0] > 4'000);  // not everything
  (void)w.store->evict(w.worker, 64 * kMiB);
  CHECK(w.pages(c, Kind::kEphemeral) == 0);
  CHECK(w.pages(c, Kind::kPersistent) == 1000);
  CHECK(w.settle());
  CHECK(w.provider->resident_bytes() <= 12 * kMiB);
  CHECK(w.get_is(c, key(1, 1, 999), noise(999)));
}

TEST_CASE("evict_client drops the ephemeral pages of one client", "[store][capacity]") {
  World w;
  const ClientRef a = w.add(1);
  const ClientRef b = w.add(2);
  for (const ClientRef& client : {a, b}) {
    for (uint32_t i = 0; i < 100; ++i) {
      REQUIRE(w.put(client, key(0, 1, i), i % 2 == 0 ? noise(i) : same_filled(i)) == Status::kOk);
      REQUIRE(w.put(client, key(1, 1, i), noise(i)) == Status::kOk);
    }
  }
  CHECK(w.store->evict_client(w.worker, *a) == 100);
  CHECK(w.store->evict_client(w.worker, *a) == 0);
  for (uint32_t i = 0; i < 100; ++i) {
    CHECK(w.get(a, key(0, 1, i)) == Status::kMiss);
    CHECK(w.get(b, key(0, 1, i)) == Status::kOk);
    CHECK(w.get_is(a, key(1, 1, i), noise(i)));
  }
  CHECK(w.invariants() == "hold");
}

TEST_CASE("when all clients are gone all memory is back", "[store][capacity]") {
  World w({.budget_bytes = 64 * kMiB});
  const uint64_t empty = w.provider->resident_bytes();
  for (const uint8_t number : {uint8_t{1}, uint8_t{2}, uint8_t{3}}) {
    const ClientRef c = w.add(number);
    fill_with_ephemeral(w, c, 6'000);
    for (uint32_t i = 0; i < 1500; ++i) (void)w.put(c, key(1, 1, i), noise(i));
  }
  for (const ClientStats& stats : w.store->all_client_stats()) {
    const ClientRef c = w.store->find_client(stats.number);
    REQUIRE(c != nullptr);
    w.store->remove_client(*c);
  }
  CHECK(w.settle());
  CHECK(w.store->stats().contents == 0);
  CHECK(w.store->stats().clients == 0);
  CHECK(w.store->all_client_stats().empty());
  CHECK(w.provider->resident_bytes() <= empty + 6 * kMiB);
  CHECK(w.invariants() == "hold");
}

// Pages that cost only records: an adversary's way to use memory that nobody counts.
TEST_CASE("records alone cannot exceed the budget", "[store][capacity]") {
  World w({.budget_bytes = 16 * kMiB});
  const ClientRef c = w.add(1);
  const uint32_t pool = GENERATE(0u, 1u);
  const uint64_t objects_apart = GENERATE(1u, 1'000'000u);  // one index leaf for all, or one each
  uint64_t most = 0;
  for (uint32_t i = 0; i < 600'000; ++i) {
    const Status status = w.put(c, key(pool, i / 512 + i * (objects_apart - 1), i), same_filled(i));
    if (status != Status::kOk && status != Status::kNoSpace) FAIL("status");
    if (i % 5000 == 0) most = std::max(most, w.store->stats().held_bytes);
  }
  CHECK(most <= 16 * kMiB);
  CHECK(w.invariants() == "hold");
}

}  // namespace tmem::store
