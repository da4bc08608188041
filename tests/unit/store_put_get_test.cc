// SPDX-License-Identifier: GPL-2.0-or-later
// What put, get and flush promise for one key.
#include "tests/unit/store_world.h"

namespace tmem::store {

TEST_CASE("a get of a private ephemeral page takes it away", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  REQUIRE(w.put(c, key(0, 1, 1), noise(1)) == Status::kOk);
  CHECK(w.get_is(c, key(0, 1, 1), noise(1)));
  CHECK(w.get(c, key(0, 1, 1)) == Status::kMiss);
  CHECK(w.pages(c, Kind::kEphemeral) == 0);
}

TEST_CASE("a get of a persistent page leaves it", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  REQUIRE(w.put(c, key(1, 1, 1), noise(1)) == Status::kOk);
  for (int i = 0; i < 3; ++i) CHECK(w.get_is(c, key(1, 1, 1), noise(1)));
  CHECK(w.flush(c, key(1, 1, 1)) == Status::kOk);
  CHECK(w.flush(c, key(1, 1, 1)) == Status::kMiss);
  CHECK(w.get(c, key(1, 1, 1)) == Status::kMiss);
}

TEST_CASE("a put replaces the page of its key, whatever both consist of", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  const std::array<Page, 5> pages = {noise(1), same_filled(0), text(3), same_filled(~uint64_t{5}),
                                     noise(2)};
  for (const uint32_t pool : {0u, 1u}) {
    for (const Page& before : pages) {
      for (const Page& after : pages) {
        REQUIRE(w.put(c, key(pool, 1, 1), before) == Status::kOk);
        REQUIRE(w.put(c, key(pool, 1, 1), after) == Status::kOk);
        CHECK(w.get_is(c, key(pool, 1, 1), after));
      }
    }
  }
  CHECK(w.store->client_stats(*c).pages[1] == 1);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a same-filled page costs no content and keeps all 64 bits", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  const std::array<uint64_t, 6> words = {
      0, 1, uint64_t{1} << 63, ~uint64_t{0}, 0xffffffff00000000u, 0x0123456789abcdefu};
  for (uint32_t i = 0; i < words.size(); ++i)
    REQUIRE(w.put(c, key(1, 1, i), same_filled(words[i])) == Status::kOk);
  CHECK(w.store->stats().contents == 0);
  CHECK(w.store->stats().same_filled_pages == words.size());
  CHECK(w.store->client_stats(*c).counters.puts_same_filled == words.size());
  for (uint32_t i = 0; i < words.size(); ++i)
    CHECK(w.get_is(c, key(1, 1, i), same_filled(words[i])));
}

TEST_CASE("a page that is same-filled but for one byte is kept as it is", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  for (const size_t at : {size_t{0}, size_t{8}, size_t{2047}, kPageBytes - 1}) {
    Page page = same_filled(0x4141414141414141u);
    page[at] = std::byte{0x42};
    REQUIRE(w.put(c, key(1, 1, static_cast<uint32_t>(at)), page) == Status::kOk);
    CHECK(w.get_is(c, key(1, 1, static_cast<uint32_t>(at)), page));
  }
}

TEST_CASE("keys differ in every word of the object id and every bit of the index", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  std::vector<Key> keys = {key(1, 0, 0)};
  for (uint32_t bit = 0; bit < 32; ++bit) keys.push_back(key(1, 0, 1u << bit));
  for (size_t word = 0; word < 3; ++word) {
    for (uint32_t bit = 0; bit < 64; ++bit) {
      Key k = key(1, 0, 0);
      k.object.word[word] = uint64_t{1} << bit;
      keys.push_back(k);
    }
  }
  keys.push_back(key(1, ~uint64_t{0}, ~0u));
  for (size_t i = 0; i < keys.size(); ++i)
    REQUIRE(w.put(c, keys[i], same_filled(i + 1)) == Status::kOk);
  for (size_t i = 0; i < keys.size(); ++i) CHECK(w.get_is(c, keys[i], same_filled(i + 1)));
  CHECK(w.pages(c, Kind::kPersistent) == keys.size());
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a miss leaves the caller's page alone", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  w.buffer = noise(77);
  CHECK(w.get(c, key(0, 1, 1)) == Status::kMiss);
  CHECK(w.get(c, key(9, 1, 1)) == Status::kNoSuchPool);
  CHECK(w.buffer == noise(77));
}

TEST_CASE("flushing an object takes all its pages and no others", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  for (const uint32_t pool : {0u, 1u})
    for (uint64_t object = 0; object < 3; ++object)
      for (uint32_t i = 0; i < 200; ++i)
        REQUIRE(w.put(c, key(pool, object, i * 1000), noise(object * 200 + i)) == Status::kOk);
  CHECK(w.store->flush_object(*c, PoolId{1}, {{1, 0, 0}}) == Status::kOk);
  CHECK(w.store->flush_object(*c, PoolId{1}, {{1, 0, 0}}) == Status::kMiss);
  CHECK(w.store->flush_object(*c, PoolId{1}, {{1, 0, 1}}) == Status::kMiss);
  for (uint32_t i = 0; i < 200; ++i) {
    CHECK(w.get(c, key(1, 1, i * 1000)) == Status::kMiss);
    CHECK(w.get_is(c, key(1, 0, i * 1000), noise(i)));
    CHECK(w.get_is(c, key(1, 2, i * 1000), noise(400 + i)));
    CHECK(w.get_is(c, key(0, 1, i * 1000), noise(200 + i)));
  }
  // The flushed object can be used again at once, while its memory is still being freed.
  REQUIRE(w.put(c, key(1, 1, 5000), noise(1)) == Status::kOk);
  CHECK(w.settle());
  CHECK(w.get_is(c, key(1, 1, 5000), noise(1)));
  CHECK(w.get(c, key(1, 1, 6000)) == Status::kMiss);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("an overwrite that finds no room leaves the key empty", "[store]") {
  World w({.budget_bytes = 16 * kMiB});
  const ClientRef c = w.add(1);
  // Keys that cost next to nothing, then persistent noise until nothing more fits.
  constexpr uint32_t kSmall = 200;
  for (uint32_t i = 0; i < kSmall; ++i)
    REQUIRE(w.put(c, key(1, 1, i), same_filled(i)) == Status::kOk);
  uint32_t stored = 0;
  while (stored < 8192 && w.put(c, key(1, 2, stored), noise(stored)) == Status::kOk) ++stored;
  REQUIRE(stored < 8192);
  uint32_t refused = 0;
  for (uint32_t i = 0; i < kSmall; ++i) {
    const Status status = w.put(c, key(1, 1, i), noise(100'000 + i));
    if (status == Status::kOk) {
      CHECK(w.get_is(c, key(1, 1, i), noise(100'000 + i)));
      continue;
    }
    ++refused;
    CHECK(status == Status::kNoSpace);
    CHECK(w.get(c, key(1, 1, i)) == Status::kMiss);
    CHECK(w.flush(c, key(1, 1, i)) == Status::kMiss);
  }
  CHECK(refused > 0);
  for (uint32_t i = 0; i < stored; ++i) CHECK(w.get_is(c, key(1, 2, i), noise(i)));
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a frozen client puts nothing new; all else goes on", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  for (const uint32_t pool : {0u, 1u}) REQUIRE(w.put(c, key(pool, 1, 1), noise(1)) == Status::kOk);
  ClientSettings settings = w.store->settings(*c);
  settings.frozen = true;
  REQUIRE(w.store->configure(*c, settings));
  for (const uint32_t pool : {0u, 1u}) {
    CHECK(w.put(c, key(pool, 1, 2), noise(2)) == Status::kFrozen);
    CHECK(w.put(c, key(pool, 1, 2), same_filled(0)) == Status::kFrozen);
    CHECK(w.get(c, key(pool, 1, 2)) == Status::kMiss);
    CHECK(w.put(c, key(pool, 1, 1), noise(3)) == Status::kOk);
    CHECK(w.get_is(c, key(pool, 1, 1), noise(3)));
  }
  CHECK(w.put(c, key(0, 1, 1), noise(1)) == Status::kFrozen);  // the get took it
  CHECK(w.flush(c, key(1, 1, 1)) == Status::kOk);
  CHECK(w.put(c, key(9, 1, 1), noise(1)) == Status::kNoSuchPool);
  CHECK(w.store->client_stats(*c).counters.puts_frozen == 5);
  settings.frozen = false;
  REQUIRE(w.store->configure(*c, settings));
  CHECK(w.put(c, key(1, 1, 1), noise(4)) == Status::kOk);
}

TEST_CASE("counters say what happened", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  REQUIRE(w.put(c, key(0, 1, 1), noise(1)) == Status::kOk);
  REQUIRE(w.put(c, key(0, 1, 1), noise(2)) == Status::kOk);
  REQUIRE(w.put(c, key(0, 1, 2), noise(2)) == Status::kOk);
  REQUIRE(w.put(c, key(0, 1, 3), same_filled(7)) == Status::kOk);
  CHECK(w.get(c, key(0, 1, 1)) == Status::kOk);
  CHECK(w.get(c, key(0, 1, 1)) == Status::kMiss);
  CHECK(w.flush(c, key(0, 1, 2)) == Status::kOk);
  CHECK(w.flush(c, key(0, 1, 2)) == Status::kMiss);
  CHECK(w.store->flush_object(*c, PoolId{0}, {{1, 0, 0}}) == Status::kOk);
  const ClientCounters n = w.store->client_stats(*c).counters;
  CHECK(n.puts == 4);
  CHECK(n.puts_ok == 4);
  CHECK(n.puts_replaced == 1);
  CHECK(n.puts_same_filled == 1);
  CHECK(n.puts_duplicate == 1);
  CHECK(n.gets == 2);
  CHECK(n.hits == 1);
  CHECK(n.flushes == 3);
  CHECK(n.flushes_found == 2);
  CHECK(n.evicted_pages == 0);
}

}  // namespace tmem::store
