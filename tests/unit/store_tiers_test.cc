// SPDX-License-Identifier: GPL-2.0-or-later
// How pages age: raw, LZ4, zstd; and which are never compressed.
#include "tests/unit/store_world.h"

namespace tmem::store {
namespace {

constexpr uint32_t kPages = 600;
constexpr size_t kRaw = static_cast<size_t>(Tier::kRaw);
constexpr size_t kLz4 = static_cast<size_t>(Tier::kLz4);
constexpr size_t kZstd = static_cast<size_t>(Tier::kZstd);

void put_texts(World& w, const ClientRef& c, uint32_t pool) {
  for (uint32_t i = 0; i < kPages; ++i)
    REQUIRE(w.put(c, key(pool, i / 64, i), text(i)) == Status::kOk);
}

uint32_t wrong_texts(World& w, const ClientRef& c, uint32_t pool) {
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < kPages; ++i) wrong += !w.get_is(c, key(pool, i / 64, i), text(i));
  return wrong;
}

// Lets `ms` pass in ten steps, with all background work that becomes due.
bool pass(World& w, uint64_t ms) {
  bool settled = true;
  for (int i = 0; i < 10; ++i) {
    w.clock.advance_ms(ms / 10);
    settled = w.settle() && settled;
  }
  return settled;
}

}  // namespace

TEST_CASE("pages move from raw to LZ4 to zstd with their age", "[store][tiers]") {
  World w;
  const ClientRef c = w.add(1);
  const uint32_t pool = GENERATE(0u, 1u);
  put_texts(w, c, pool);
  REQUIRE(pass(w, 1'000));
  StoreStats stats = w.store->stats();
  CHECK(stats.tier_pages == std::array<uint64_t, kTiers>{kPages, 0, 0});
  CHECK(stats.tier_bytes[kRaw] == kPages * kPageBytes);
  CHECK(stats.compressed_pages == 0);

  REQUIRE(pass(w, 4'000));
  stats = w.store->stats();
  CHECK(stats.tier_pages == std::array<uint64_t, kTiers>{0, kPages, 0});
  CHECK(stats.tier_bytes[kLz4] < kPages * kPageBytes * 2 / 3);
  CHECK(stats.compressed_pages == kPages);
  CHECK(stats.recompressed_pages == 0);
  const uint64_t lz4_bytes = stats.tier_bytes[kLz4];
  if (pool == 1) CHECK(wrong_texts(w, c, pool) == 0);

  REQUIRE(pass(w, 130'000));
  stats = w.store->stats();
  CHECK(stats.tier_pages == std::array<uint64_t, kTiers>{0, 0, kPages});
  CHECK(stats.tier_bytes[kZstd] < lz4_bytes);
  CHECK(stats.recompressed_pages == kPages);
  CHECK(stats.stored_bytes[pool] == stats.tier_bytes[kZstd]);
  CHECK(wrong_texts(w, c, pool) == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a page that is got or flushed young is never compressed", "[store][tiers]") {
  World w;
  const ClientRef c = w.add(1);
  for (int round = 0; round < 20; ++round) {
    put_texts(w, c, 0);
    put_texts(w, c, 1);
    REQUIRE(pass(w, 500));
    CHECK(wrong_texts(w, c, 0) == 0);
    for (uint32_t i = 0; i < kPages; ++i) REQUIRE(w.flush(c, key(1, i / 64, i)) == Status::kOk);
    REQUIRE(pass(w, 500));
  }
  REQUIRE(pass(w, 200'000));
  CHECK(w.store->stats().compressed_pages == 0);
  CHECK(w.store->stats().recompressed_pages == 0);
}

TEST_CASE("a full nursery is compressed whatever its age", "[store][tiers]") {
  World w({.budget_bytes = 64 * kMiB, .nursery_percent = 10});
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 6'000; ++i) {  // 23 MiB raw
    REQUIRE(w.put(c, key(1, 1, i), text(i)) == Status::kOk);
    if (i % 100 == 0) (void)w.store->maintain(w.worker, 64);
  }
  CHECK(w.settle());
  const StoreStats stats = w.store->stats();
  CHECK(stats.compressed_pages > 3'000);
  CHECK(stats.tier_bytes[kRaw] <= 64 * kMiB / 10 + kMiB);
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < 6'000; ++i) wrong += !w.get_is(c, key(1, 1, i), text(i));
  CHECK(wrong == 0);
}

TEST_CASE("what does not compress stays raw and is not tried for ever", "[store][tiers]") {
  World w;
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < kPages; ++i) REQUIRE(w.put(c, key(1, 1, i), noise(i)) == Status::kOk);
  REQUIRE(pass(w, 10'000));
  REQUIRE(pass(w, 200'000));
  const StoreStats stats = w.store->stats();
  CHECK(stats.tier_pages == std::array<uint64_t, kTiers>{kPages, 0, 0});
  CHECK(stats.incompressible_pages == kPages);
  CHECK(stats.compressed_pages == 0);
  for (uint32_t i = 0; i < kPages; i += 50) CHECK(w.get_is(c, key(1, 1, i), noise(i)));
}

TEST_CASE("compression can be off for a client, and zstd for the store", "[store][tiers]") {
  Options options;
  options.zstd = false;
  World w(options);
  ClientSettings settings;
  settings.compress = false;
  const ClientRef plain = w.add(1, settings);
  const ClientRef other = w.add(2);
  put_texts(w, plain, 1);
  put_texts(w, other, 1);
  REQUIRE(pass(w, 10'000));
  REQUIRE(pass(w, 200'000));
  const StoreStats stats = w.store->stats();
  CHECK(stats.tier_pages == std::array<uint64_t, kTiers>{kPages, kPages, 0});
  CHECK(wrong_texts(w, plain, 1) == 0);
  CHECK(wrong_texts(w, other, 1) == 0);
}

TEST_CASE("gets, overwrites and flushes between the slices of every move are right",
          "[store][tiers]") {
  World w;
  const ClientRef c = w.add(1);
  std::array<uint64_t, kPages> version{};
  for (uint32_t i = 0; i < kPages; ++i) version[i] = i;  // as put_texts() puts
  put_texts(w, c, 1);
  model::Rng rng(3);
  uint32_t wrong = 0;
  for (int slice = 0; slice < 4'000; ++slice) {
    w.clock.advance_ms(rng.below(60));
    (void)w.store->maintain(w.worker, 1);
    const uint32_t i = rng.below(kPages);
    const Key k = key(1, i / 64, i);
    if (i == 0) continue;  // version 0 means absent
    wrong += version[i] == 0 ? w.get(c, k) != Status::kMiss : !w.get_is(c, k, text(version[i]));
    const uint32_t what = rng.below(4);
    if (what == 0) {
      version[i] = rng.next() >> 8;
      wrong += w.put(c, k, text(version[i])) != Status::kOk;
    } else if (what == 1 && rng.one_in(4)) {
      wrong += w.flush(c, k) != (version[i] == 0 ? Status::kMiss : Status::kOk);
      version[i] = 0;
    }
  }
  CHECK(wrong == 0);
  CHECK(w.store->stats().recompressed_pages > 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("holes are cleaned and their memory comes back", "[store][cleaner]") {
  World w({.budget_bytes = 64 * kMiB});
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 10'000; ++i) REQUIRE(w.put(c, key(1, 1, i), noise(i)) == Status::kOk);
  for (uint32_t i = 0; i < 10'000; ++i)
    if (i % 8 != 0) REQUIRE(w.flush(c, key(1, 1, i)) == Status::kOk);
  REQUIRE(pass(w, 10'000));
  const StoreStats stats = w.store->stats();
  CHECK(stats.contents == 1'250);
  CHECK(stats.cleaned_pages > 0);
  CHECK(stats.held_bytes <= 2 * 1'250 * kPageBytes + 8 * kMiB);
  CHECK(w.provider->resident_bytes() <= 2 * 1'250 * kPageBytes + 8 * kMiB);
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < 10'000; i += 8) wrong += !w.get_is(c, key(1, 1, i), noise(i));
  CHECK(wrong == 0);
  CHECK(w.invariants() == "hold");
}

}  // namespace tmem::store
