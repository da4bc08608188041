// SPDX-License-Identifier: GPL-2.0-or-later
// What the pool may hold, from what the host has free.
#include <catch2/catch.hpp>

#include "tests/model/rng.h"
#include "tmemd/fallow/plan.h"
#include "tmemd/memory/slot_provider.h"

namespace tmem::fallow {
namespace {

constexpr uint64_t kNoMaximum = ~uint64_t{0} / 2;

memory::xen::HostMemoryInfo host(uint64_t free_mib, uint64_t claimed_mib = 0) {
  return {4096 * kMiB, free_mib * kMiB, claimed_mib * kMiB};
}

Limits limits(uint64_t head_room_mib, uint64_t maximum_bytes = kNoMaximum) {
  return {maximum_bytes, head_room_mib * kMiB};
}

}  // namespace

TEST_CASE("plan: the pool may take what is free but the head-room") {
  const Plan p = plan(host(1000), 100 * kMiB, limits(200), {});
  CHECK(p.pool_bytes_max == 900 * kMiB);
  CHECK(p.floor_bytes == 200 * kMiB);
  CHECK(p.bound == Bound::kHeadRoom);
}

TEST_CASE("plan: what is claimed for a domain being built is not free") {
  CHECK(plan(host(1000, 700), 100 * kMiB, limits(200), {}).pool_bytes_max == 200 * kMiB);
  // More claimed than free: all of the head-room is missing.
  CHECK(plan(host(50, 700), 300 * kMiB, limits(200), {}).pool_bytes_max == 100 * kMiB);
}

TEST_CASE("plan: missing head-room is given back in whole slots") {
  CHECK(plan(host(195), 100 * kMiB, limits(200), {}).pool_bytes_max == 94 * kMiB);
  CHECK(plan(host(0), 100 * kMiB, limits(200), {}).pool_bytes_max == 0);
}

TEST_CASE("plan: the configured maximum bounds it, and is said to") {
  const Plan p = plan(host(1000), 100 * kMiB, limits(200, 333 * kMiB), {});
  CHECK(p.pool_bytes_max == 332 * kMiB);
  CHECK(p.bound == Bound::kMaximum);
}

TEST_CASE("plan: a wish is met from the pool, then kept free") {
  Wish wish{600 * kMiB, 0, false};
  const Plan before = plan(host(200), 1000 * kMiB, limits(200), wish);
  CHECK(before.pool_bytes_max == 600 * kMiB);
  CHECK(before.bound == Bound::kWish);
  wish.met = true;
  const Plan met = plan(host(600), 600 * kMiB, limits(200), wish);
  CHECK(met.pool_bytes_max == 600 * kMiB);
  CHECK(met.floor_bytes == 600 * kMiB);
  // The guest has taken its memory: the pool does not shrink once more for the wish.
  const Plan taken = plan(host(210), 600 * kMiB, limits(200), wish);
  CHECK(taken.pool_bytes_max == 600 * kMiB);
}

TEST_CASE("plan: a wish below the head-room changes nothing") {
  const Wish wish{100 * kMiB, 0, false};
  const Plan with = plan(host(150), 1000 * kMiB, limits(200), wish);
  const Plan without = plan(host(150), 1000 * kMiB, limits(200), {});
  CHECK(with.pool_bytes_max == without.pool_bytes_max);
  CHECK(with.bound == Bound::kHeadRoom);
}

TEST_CASE("plan: whatever the figures, growth leaves the floor and shrinking is enough") {
  model::Rng rng(GENERATE(1, 2, 3));
  for (int i = 0; i < 20'000; ++i) {
    const auto some = [&rng] { return rng.below(3000 * kMiB); };
    const memory::xen::HostMemoryInfo h{8192 * kMiB, some(), rng.below(4) == 0 ? some() : 0};
    const uint64_t held = some() / memory::kSlotBytes * memory::kSlotBytes;
    const Limits l{rng.below(3) == 0 ? some() : kNoMaximum, some()};
    std::optional<Wish> wish;
    if (rng.below(2) == 0) wish = Wish{some(), 0, rng.below(2) == 0};
    const Plan p = plan(h, held, l, wish);
    REQUIRE(p.pool_bytes_max % memory::kSlotBytes == 0);
    REQUIRE(p.pool_bytes_max <= l.pool_bytes_max);
    REQUIRE(p.floor_bytes >= l.head_room_bytes);
    if (p.pool_bytes_max > held)
      REQUIRE(h.available_bytes() - (p.pool_bytes_max - held) >= p.floor_bytes);
    else
      REQUIRE((p.pool_bytes_max == 0 ||
               h.available_bytes() + held - p.pool_bytes_max >= l.head_room_bytes));
  }
}

TEST_CASE("plan: a guest that takes the room made for it takes nothing twice") {
  const uint64_t head_room = 100 * kMiB;
  CHECK(reserved_bytes(300 * kMiB, head_room, 0, false) == head_room);
  CHECK(reserved_bytes(300 * kMiB, head_room, 800 * kMiB, false) == 800 * kMiB);
  CHECK(reserved_bytes(900 * kMiB, head_room, 800 * kMiB, true) == 800 * kMiB);
  CHECK(reserved_bytes(500 * kMiB, head_room, 800 * kMiB, true) == 500 * kMiB);
  CHECK(reserved_bytes(20 * kMiB, head_room, 800 * kMiB, true) == head_room);
}

}  // namespace tmem::fallow
