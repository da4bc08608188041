// SPDX-License-Identifier: GPL-2.0-or-later
// Promises on memory that other guests may take: slots for them are held from when they are made,
// so that they outlast any fall of the arena limit.
#include "tests/unit/shrink_world.h"

namespace tmem::store {
namespace {

constexpr uint32_t pages_of(uint64_t guarantee_bytes) {
  return static_cast<uint32_t>(guarantee_bytes / (kPageBytes + 64)) - 100;
}

// Background work through a time without puts that is longer than free memory is kept.
void rest(ShrinkWorld& w) {
  for (int i = 0; i < 8; ++i) {
    REQUIRE(w.settle());
    w.clock.advance_ms(5'000);
  }
}

// Somebody else takes what is free.
void take_free_memory(ShrinkWorld& w) {
  w.slots.set_available(w.arena_bytes() / kSlot);
  w.store->set_arena_limit(w.arena_bytes());
}

// All that others may have: persistent pages until they are refused, and ephemeral ones.
uint32_t press(ShrinkWorld& w, const ClientRef& greedy, uint32_t pages) {
  uint32_t stored = 0;
  for (uint32_t i = 0; i < pages; ++i) {
    stored += w.put(greedy, key(1, i / 64, i), noise(1'000'000 + i)) == Status::kOk;
    (void)w.put(greedy, key(0, i / 64, i), noise(2'000'000 + i));
  }
  return stored;
}

}  // namespace

TEST_CASE("a guarantee outlasts rest and the loss of all free memory", "[promises]") {
  constexpr uint64_t kGuarantee = 32 * kMiB;
  ShrinkWorld w({.budget_bytes = 128 * kMiB});
  const ClientRef a = w.add(1, guaranteed(kGuarantee));
  const ClientRef b = w.add(2);
  rest(w);
  CHECK(w.arena_bytes() >= kGuarantee);
  CHECK(w.arena_bytes() <= kGuarantee + 4 * kSlot);  // not more than promised, and the reserve
  SECTION("at once") {}
  SECTION("after best effort had much") {
    CHECK(press(w, b, 2'000) == 2'000);
  }
  SECTION("after ephemeral pages came and went") {
    for (uint32_t i = 0; i < 20'000; ++i) (void)w.put(b, key(0, i / 64, i), noise(i));
    REQUIRE(w.store->flush_pool(*b, PoolId{0}) == Status::kOk);
    rest(w);
    CHECK(w.arena_bytes() <= kGuarantee + 4 * kSlot);
  }
  take_free_memory(w);
  (void)press(w, b, 20'000);
  uint32_t refused = 0;
  for (uint32_t i = 0; i < pages_of(kGuarantee); ++i)
    refused += w.put(a, key(1, i / 64, i), noise(i)) != Status::kOk;
  CHECK(refused == 0);
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < pages_of(kGuarantee); ++i)
    wrong += w.get_is(a, key(1, i / 64, i), noise(i)) ? 0 : 1;
  CHECK(wrong == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("credits outlast rest and the loss of all free memory", "[promises]") {
  ShrinkWorld w({.budget_bytes = 128 * kMiB});
  const ClientRef a = w.add(1);
  const ClientRef b = w.add(2);
  CHECK(w.arena_bytes() == 0);
  const uint32_t credits = w.store->reserve_credits(*a, 1'000);
  REQUIRE(credits == 1'000);
  CHECK(w.arena_bytes() >= credits * kPageBytes);
  SECTION("at once") {}
  SECTION("after rest") {
    rest(w);
  }
  SECTION("after best effort had much") {
    CHECK(press(w, b, 2'000) == 2'000);
    rest(w);
  }
  take_free_memory(w);
  (void)press(w, b, 20'000);
  for (uint32_t i = 0; i < credits; ++i)
    REQUIRE(w.store->put(w.worker, *a, key(1, 1, i), noise(i), Payment::kCredit) == Status::kOk);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("credits are granted from what is held, whatever the limit says", "[promises]") {
  ShrinkWorld w({.budget_bytes = 128 * kMiB});
  const ClientRef a = w.add(1);
  w.slots.set_available(2);
  const uint32_t credits = w.store->reserve_credits(*a, 100'000);
  CHECK(credits * kPageBytes < 2 * kSlot);
  CHECK(credits * kPageBytes > kSlot);
  CHECK(w.store->reserve_credits(*a, 100) == 0);
  w.slots.set_available(64);
  (void)w.store->maintain(w.worker, 64);  // asks the provider again
  CHECK(w.store->reserve_credits(*a, 100) == 100);
}

TEST_CASE("best effort goes on while a guarantee is not held yet, and leaves it its slots",
          "[promises]") {
  constexpr uint64_t kGuarantee = 32 * kMiB;
  ShrinkWorld w({.budget_bytes = 128 * kMiB});
  const ClientRef a = w.add(1, guaranteed(kGuarantee));
  const ClientRef b = w.add(2);
  for (int i = 0; i < 2; ++i) {  // at first nothing is held, then all
    const auto first = static_cast<uint32_t>(i) * 4'000;
    for (uint32_t n = first; n < first + 4'000; ++n)
      REQUIRE(w.put(b, key(1, n / 64, n), noise(n)) == Status::kOk);
    if (i == 0) REQUIRE(w.settle());
  }
  take_free_memory(w);
  uint32_t refused = 0;
  for (uint32_t i = 0; i < pages_of(kGuarantee); ++i)
    refused += w.put(a, key(1, i / 64, i), noise(1'000'000 + i)) != Status::kOk;
  CHECK(refused == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a guarantee that is not held yet gives no credits", "[promises]") {
  ShrinkWorld w({.budget_bytes = 128 * kMiB});
  const ClientRef a = w.add(1, guaranteed(32 * kMiB));
  w.slots.set_available(4);
  REQUIRE(w.settle());
  CHECK(w.arena_bytes() == 4 * kSlot);
  CHECK(w.store->reserve_credits(*a, 5'000) * kPageBytes < 4 * kSlot);
  w.slots.set_available(64);
  REQUIRE(w.settle());
  CHECK(w.store->reserve_credits(*a, 5'000) > 4'000);
}

TEST_CASE("without promises all slots go back at rest", "[promises]") {
  ShrinkWorld w({.budget_bytes = 128 * kMiB});
  const ClientRef a = w.add(1);
  for (uint32_t i = 0; i < 5'000; ++i) (void)w.put(a, key(i % 2, i / 64, i), noise(i));
  const uint32_t credits = w.store->reserve_credits(*a, 100);
  REQUIRE(credits == 100);
  w.store->release_credits(*a, credits);
  REQUIRE(w.store->flush_pool(*a, PoolId{0}) == Status::kOk);
  REQUIRE(w.store->flush_pool(*a, PoolId{1}) == Status::kOk);
  rest(w);
  CHECK(w.arena_bytes() == 0);
}

}  // namespace tmem::store
