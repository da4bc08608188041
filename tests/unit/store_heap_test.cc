// SPDX-License-Identifier: GPL-2.0-or-later
// The volatile index in the process's own memory: its maximum holds whatever guests do.
#include "tests/unit/store_world.h"

namespace tmem::store {
namespace {

constexpr uint64_t kHeapMax = 4 * kMiB;
// The doubling of one shard's hash set, and what lists of contents take without asking.
constexpr uint64_t kOver = kHeapMax / 32;

// The dearest page there is: of one value, in an object of its own.
Status put_lonely(World& w, const ClientRef& c, uint32_t pool, uint32_t i) {
  return w.put(c, key(pool, i, i), same_filled(i % 100));
}

uint32_t held(World& w, const ClientRef& c, uint32_t pages) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < pages; ++i)
    count += w.get_is(c, key(1, 1'000'000 + i / 64, i), noise(i)) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("lonely ephemeral pages evict each other at the heap's maximum", "[store][heap]") {
  World w({.budget_bytes = 256 * kMiB, .heap_bytes_max = kHeapMax});
  const ClientRef hostile = w.add(1);
  const ClientRef other = w.add(2);
  constexpr uint32_t kPages = 8'000;
  for (uint32_t i = 0; i < kPages; ++i)
    REQUIRE(w.put(other, key(0, i / 64, i), noise(i)) == Status::kOk);
  uint64_t most = 0;
  for (uint32_t i = 0; i < 100'000; ++i) {
    REQUIRE(put_lonely(w, hostile, 0, i) == Status::kOk);
    if (i % 16 == 0) most = std::max(most, w.store->stats().heap_bytes);
  }
  CHECK(w.store->stats().heap_bytes_max == kHeapMax);
  CHECK(most <= kHeapMax + kOver);
  CHECK(most > kHeapMax / 8 * 7);
  CHECK(w.pages(hostile, Kind::kEphemeral) > 10'000);
  CHECK(w.get_is(hostile, key(0, 99'999, 99'999), same_filled(99)));
  // It pays by itself.
  CHECK(w.store->client_stats(*other).counters.evicted_pages == 0);
  CHECK(w.pages(other, Kind::kEphemeral) == kPages);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("maintain leaves some of the heap to puts", "[store][heap]") {
  World w({.budget_bytes = 256 * kMiB, .heap_bytes_max = kHeapMax});
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 100'000; ++i) (void)put_lonely(w, c, 0, i);
  CHECK(w.settle());
  CHECK(w.store->stats().heap_bytes <= kHeapMax / 64 * 63);
  const uint64_t evicted = w.store->stats().evicted_pages;
  for (uint32_t i = 0; i < 100; ++i) REQUIRE(put_lonely(w, c, 0, 200'000 + i) == Status::kOk);
  CHECK(w.store->stats().evicted_pages == evicted);
}

TEST_CASE("lonely persistent pages are refused at the heap's maximum; guarantees hold",
          "[store][heap]") {
  World w({.budget_bytes = 256 * kMiB, .heap_bytes_max = kHeapMax});
  const ClientRef hostile = w.add(1);
  ClientSettings settings;
  settings.guarantee_bytes = 32 * kMiB;
  const ClientRef guarded = w.add(2, settings);
  const ClientRef cache = w.add(3);
  for (uint32_t i = 0; i < 20'000; ++i) (void)put_lonely(w, cache, 0, i);
  uint32_t stored = 0;
  for (uint32_t i = 0; i < 50'000; ++i) stored += put_lonely(w, hostile, 1, i) == Status::kOk;
  CHECK(stored > 10'000);
  CHECK(stored < 30'000);
  CHECK(w.store->stats().heap_bytes <= kHeapMax + kOver);
  constexpr uint32_t kPages = 32 * kMiB / (kPageBytes + 128) - 200;
  uint32_t refused = 0;
  for (uint32_t i = 0; i < kPages; ++i)
    refused += w.put(guarded, key(1, 1'000'000 + i / 64, i), noise(i)) != Status::kOk;
  CHECK(refused == 0);
  CHECK(held(w, guarded, kPages) == kPages);
  CHECK(w.store->stats().heap_bytes <= kHeapMax + kOver);
  CHECK(w.pages(hostile, Kind::kPersistent) == stored);  // never dropped
  CHECK(w.invariants() == "hold");
}

TEST_CASE("lonely pages within a guarantee leave another client its own", "[store][heap]") {
  constexpr uint64_t kGuarantee = 24 * kMiB;
  World w({.budget_bytes = 64 * kMiB});
  ClientSettings settings;
  settings.guarantee_bytes = kGuarantee;
  const ClientRef hostile = w.add(1, settings);
  const ClientRef guarded = w.add(2, settings);
  uint32_t stored = 0;
  for (uint32_t i = 0; i < 250'000; ++i) stored += put_lonely(w, hostile, 1, i) == Status::kOk;
  CHECK(stored > kGuarantee / 300);
  constexpr uint32_t kPages = kGuarantee / (kPageBytes + 128) - 200;
  uint32_t refused = 0;
  for (uint32_t i = 0; i < kPages; ++i)
    refused += w.put(guarded, key(1, 1'000'000 + i / 64, i), noise(i)) != Status::kOk;
  CHECK(refused == 0);
  CHECK(held(w, guarded, kPages) == kPages);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a lonely page is charged what it takes", "[store][heap]") {
  World w;
  const ClientRef c = w.add(1);
  const uint64_t before = w.store->stats().held_bytes;
  for (uint32_t i = 0; i < 100'000; ++i) REQUIRE(put_lonely(w, c, 1, i) == Status::kOk);
  const uint64_t took_bytes = w.store->stats().held_bytes - before;
  const uint64_t charged_bytes = w.charged(c, Kind::kPersistent);
  CHECK(charged_bytes >= took_bytes / 10 * 9);
  CHECK(charged_bytes <= took_bytes / 10 * 12);
}

TEST_CASE("what objects and leaves took of the heap is given back with them", "[store][heap]") {
  World w({.heap_bytes_max = kHeapMax});
  const ClientRef c = w.add(1);
  const auto put_all = [&] {
    for (uint32_t i = 0; i < 5'000; ++i) REQUIRE(put_lonely(w, c, i % 2, i) == Status::kOk);
  };
  const auto flush_all = [&] {
    for (uint32_t i = 0; i < 5'000; ++i) REQUIRE(w.flush(c, key(i % 2, i, i)) == Status::kOk);
  };
  put_all();
  flush_all();  // the hash sets keep their size
  const uint64_t before = w.store->stats().heap_bytes;
  put_all();
  CHECK(w.store->stats().heap_bytes > before + 5'000 * 150);
  flush_all();
  CHECK(w.store->stats().heap_bytes == before);
}

}  // namespace tmem::store
