// SPDX-License-Identifier: GPL-2.0-or-later
// Which equal contents are kept once, and that sharing never shows.
#include "tests/unit/store_world.h"

namespace tmem::store {
namespace {

ClientSettings scope(DedupScope dedup, const std::string& group = "") {
  ClientSettings settings;
  settings.dedup = dedup;
  settings.dedup_group = group;
  return settings;
}

// Contents held after each client put the same ten pages twice into its ephemeral pool.
uint64_t contents_of(World& w, const std::vector<ClientRef>& clients) {
  for (const ClientRef& client : clients)
    for (uint32_t i = 0; i < 20; ++i)
      REQUIRE(w.put(client, key(0, 1, i), noise(i % 10)) == Status::kOk);
  return w.store->stats().contents;
}

}  // namespace

TEST_CASE("the dedup scope says whose pages are kept once", "[store][dedup]") {
  World w;
  SECTION("none: every page by itself") {
    CHECK(contents_of(
              w, {w.add(1, scope(DedupScope::kNone)), w.add(2, scope(DedupScope::kNone))}) == 40);
    CHECK(w.store->stats().duplicate_pages == 0);
  }
  SECTION("client: each client's once, and that is the default") {
    CHECK(contents_of(w, {w.add(1), w.add(2)}) == 20);
    CHECK(w.store->stats().duplicate_pages == 20);
  }
  SECTION("group: once in each group") {
    CHECK(contents_of(w, {w.add(1, scope(DedupScope::kGroup, "a")),
                          w.add(2, scope(DedupScope::kGroup, "a")),
                          w.add(3, scope(DedupScope::kGroup, "b"))}) == 20);
  }
  SECTION("host: once, but not with clients of another scope") {
    CHECK(contents_of(w, {w.add(1, scope(DedupScope::kHost)), w.add(2, scope(DedupScope::kHost)),
                          w.add(3)}) == 20);
  }
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a duplicate survives the other's flush, overwrite, get and death", "[store][dedup]") {
  World w;
  const ClientRef a = w.add(1, scope(DedupScope::kHost));
  const ClientRef b = w.add(2, scope(DedupScope::kHost));
  for (uint32_t i = 0; i < 5; ++i) REQUIRE(w.put(a, key(0, 1, i), noise(1)) == Status::kOk);
  for (uint32_t i = 0; i < 2; ++i) REQUIRE(w.put(b, key(0, 1, i), noise(1)) == Status::kOk);
  CHECK(w.store->stats().contents == 1);
  REQUIRE(w.flush(a, key(0, 1, 0)) == Status::kOk);
  REQUIRE(w.put(a, key(0, 1, 1), noise(2)) == Status::kOk);
  REQUIRE(w.get(a, key(0, 1, 2)) == Status::kOk);
  CHECK(w.settle());
  CHECK(w.invariants() == "hold");
  CHECK(w.get_is(a, key(0, 1, 3), noise(1)));
  w.store->remove_client(*a);
  CHECK(w.settle());
  for (uint32_t i = 0; i < 2; ++i) CHECK(w.get_is(b, key(0, 1, i), noise(1)));
  CHECK(w.store->stats().contents == 0);
}

TEST_CASE("pages that differ in one byte are not one", "[store][dedup]") {
  World w;
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 64; ++i) {
    Page page = noise(1);
    page[i * 64 + i] ^= std::byte{1};
    REQUIRE(w.put(c, key(1, 1, i), page) == Status::kOk);
  }
  CHECK(w.store->stats().contents == 64);
  for (uint32_t i = 0; i < 64; ++i) {
    Page page = noise(1);
    page[i * 64 + i] ^= std::byte{1};
    CHECK(w.get_is(c, key(1, 1, i), page));
  }
}

TEST_CASE("a persistent page never depends on an ephemeral content", "[store][dedup]") {
  World w;
  const ClientRef c = w.add(1, scope(DedupScope::kHost));
  REQUIRE(w.put(c, key(0, 1, 1), noise(1)) == Status::kOk);
  REQUIRE(w.put(c, key(1, 1, 1), noise(1)) == Status::kOk);
  REQUIRE(w.put(c, key(0, 1, 2), noise(1)) == Status::kOk);
  CHECK(w.store->stats().contents == 2);
  CHECK(w.store->evict_client(w.worker, *c) == 2);
  CHECK(w.get(c, key(0, 1, 1)) == Status::kMiss);
  CHECK(w.get_is(c, key(1, 1, 1), noise(1)));
}

TEST_CASE("a duplicate of a compressed page is found", "[store][dedup]") {
  World w;
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 100; ++i) REQUIRE(w.put(c, key(1, 1, i), text(i)) == Status::kOk);
  w.clock.advance_ms(3'000);
  REQUIRE(w.settle());
  REQUIRE(w.store->stats().compressed_pages == 100);
  for (uint32_t i = 0; i < 100; ++i) REQUIRE(w.put(c, key(1, 2, i), text(i)) == Status::kOk);
  CHECK(w.store->stats().contents == 100);
  for (uint32_t i = 0; i < 100; ++i) CHECK(w.get_is(c, key(1, 2, i), text(i)));
}

TEST_CASE("each client is charged a shared content in full", "[store][dedup]") {
  World w;
  const ClientRef a = w.add(1, scope(DedupScope::kHost));
  const ClientRef b = w.add(2, scope(DedupScope::kHost));
  for (uint32_t i = 0; i < 500; ++i) REQUIRE(w.put(a, key(0, 1, i), noise(i)) == Status::kOk);
  const uint64_t alone = w.charged(a, Kind::kEphemeral);
  for (uint32_t i = 0; i < 500; ++i) REQUIRE(w.put(b, key(0, 1, i), noise(i)) == Status::kOk);
  CHECK(w.store->stats().contents == 500);
  CHECK(w.settle());
  // What a is charged does not tell it that b holds the same pages: nearly equal to what it was.
  CHECK(w.charged(a, Kind::kEphemeral) >= 500 * kPageBytes);
  CHECK(w.charged(b, Kind::kEphemeral) >= 500 * kPageBytes);
  CHECK(w.charged(a, Kind::kEphemeral) <= alone + alone / 10);
  // The second reference of the same client costs its record only.
  for (uint32_t i = 0; i < 500; ++i) REQUIRE(w.put(a, key(0, 2, i), noise(i)) == Status::kOk);
  CHECK(w.charged(a, Kind::kEphemeral) <= alone + alone / 10);
  CHECK(w.invariants() == "hold");
}

}  // namespace tmem::store
