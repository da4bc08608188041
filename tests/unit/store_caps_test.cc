// SPDX-License-Identifier: GPL-2.0-or-later
// Caps: the most pages that a client may hold, and which of them make room at it.
#include "tests/unit/store_world.h"

namespace tmem::store {
namespace {

ClientSettings capped(uint64_t pages) {
  ClientSettings settings;
  settings.cap_pages = pages;
  return settings;
}

}  // namespace

TEST_CASE("a cap is never exceeded, and the newest ephemeral pages stay", "[store][capacity]") {
  World w;
  const ClientRef c = w.add(1, capped(100));
  uint64_t most = 0;
  for (uint32_t i = 0; i < 1000; ++i) {
    // Apparent pages count: same-filled ones and duplicates too.
    const Page page = i % 3 == 0 ? same_filled(7) : (i % 3 == 1 ? noise(1) : noise(i));
    (void)w.put(c, key(0, i / 50, i), page);
    most = std::max(most, w.pages(c, Kind::kEphemeral));
  }
  CHECK(most <= 100);
  CHECK(most >= 90);
  CHECK(w.get_is(c, key(0, 19, 998), noise(998)));
  CHECK(w.invariants() == "hold");
}

TEST_CASE("at the cap persistent pages displace ephemeral ones, then are refused",
          "[store][capacity]") {
  World w;
  const ClientRef c = w.add(1, capped(100));
  for (uint32_t i = 0; i < 100; ++i) REQUIRE(w.put(c, key(0, 1, i), noise(i)) == Status::kOk);
  for (uint32_t i = 0; i < 100; ++i) {
    CHECK(w.put(c, key(1, 1, i), noise(500 + i)) == Status::kOk);
    CHECK(w.pages(c, Kind::kEphemeral) + w.pages(c, Kind::kPersistent) <= 100);
  }
  CHECK(w.put(c, key(1, 1, 100), noise(1)) == Status::kNoSpace);
  CHECK(w.put(c, key(1, 1, 101), same_filled(1)) == Status::kNoSpace);
  CHECK(w.put(c, key(1, 1, 50), noise(2)) == Status::kOk);  // an overwrite adds no page
  CHECK(w.store->client_stats(*c).counters.puts_no_space == 2);
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < 100; ++i)
    wrong += !w.get_is(c, key(1, 1, i), i == 50 ? noise(2) : noise(500 + i));
  CHECK(wrong == 0);
}

TEST_CASE("at the cap flushed pages make room before any other goes", "[store][capacity]") {
  World w;
  const ClientRef c = w.add(1, capped(100));
  for (uint32_t i = 0; i < 60; ++i) {
    REQUIRE(w.put(c, key(1, i % 7, i), noise(i)) == Status::kOk);
    if (i < 40) REQUIRE(w.put(c, key(0, 1, i), noise(500 + i)) == Status::kOk);
  }
  REQUIRE(w.store->flush_pool(*c, PoolId{1}) == Status::kOk);
  SECTION("for a put") {
    for (uint32_t i = 0; i < 60; ++i) CHECK(w.put(c, key(1, 1, i), noise(i)) == Status::kOk);
  }
  SECTION("in the background, under a lower cap") {
    REQUIRE(w.store->configure(*c, capped(40)));
    CHECK(w.settle());
  }
  CHECK(w.pages(c, Kind::kEphemeral) == 40);
  CHECK(w.store->client_stats(*c).counters.evicted_pages == 0);
}

TEST_CASE("at the cap a persistent put takes the place of flushed pages", "[store][capacity]") {
  World w;
  const ClientRef c = w.add(1, capped(100));
  for (uint32_t i = 0; i < 100; ++i) REQUIRE(w.put(c, key(1, 1, i), noise(i)) == Status::kOk);
  REQUIRE(w.store->flush_pool(*c, PoolId{1}) == Status::kOk);
  CHECK(w.put(c, key(1, 1, 7), noise(7)) == Status::kOk);
  CHECK(w.get_is(c, key(1, 1, 7), noise(7)));
}

TEST_CASE("a lowered cap takes ephemeral pages and no persistent one", "[store][capacity]") {
  World w;
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 300; ++i) REQUIRE(w.put(c, key(0, 1, i), noise(i)) == Status::kOk);
  for (uint32_t i = 0; i < 80; ++i) REQUIRE(w.put(c, key(1, 1, i), noise(i)) == Status::kOk);
  REQUIRE(w.store->configure(*c, capped(120)));
  CHECK(w.settle());
  CHECK(w.pages(c, Kind::kPersistent) == 80);
  CHECK(w.pages(c, Kind::kEphemeral) <= 40);
  REQUIRE(w.store->configure(*c, capped(50)));
  CHECK(w.settle());
  CHECK(w.pages(c, Kind::kPersistent) == 80);
  CHECK(w.pages(c, Kind::kEphemeral) == 0);
  CHECK(w.put(c, key(1, 1, 200), noise(1)) == Status::kNoSpace);
}

}  // namespace tmem::store
