// SPDX-License-Identifier: GPL-2.0-or-later
// Pools: ids, flags, destruction, shared pools and who may join them, clients that go and return.
#include "tests/unit/store_world.h"

namespace tmem::store {

TEST_CASE("a pool must be created before it is used", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  const Key k = key(2, 1, 1);
  CHECK(w.put(c, k, noise(1)) == Status::kNoSuchPool);
  CHECK(w.get(c, k) == Status::kNoSuchPool);
  CHECK(w.flush(c, k) == Status::kNoSuchPool);
  CHECK(w.store->flush_object(*c, k.pool, k.object) == Status::kNoSuchPool);
  CHECK(w.store->flush_pool(*c, k.pool) == Status::kNoSuchPool);
  CHECK(w.store->destroy_pool(*c, k.pool) == Status::kNoSuchPool);
}

TEST_CASE("creating a pool again is fine with the same flags and refused with others", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  REQUIRE(w.put(c, key(1, 1, 1), noise(1)) == Status::kOk);
  CHECK(w.store->create_pool(*c, PoolId{1}, kPersistentPool) == Status::kOk);
  CHECK(w.store->create_pool(*c, PoolId{1}, kEphemeralPool) == Status::kRefused);
  CHECK(w.get_is(c, key(1, 1, 1), noise(1)));
}

TEST_CASE("all sixteen pool ids are usable and their keys are apart", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  for (uint32_t pool = 2; pool < kPoolsMax; ++pool)
    REQUIRE(w.store->create_pool(*c, PoolId{pool}, kPersistentPool) == Status::kOk);
  for (uint32_t pool = 0; pool < kPoolsMax; ++pool)
    REQUIRE(w.put(c, key(pool, 7, 7), noise(pool)) == Status::kOk);
  for (uint32_t pool = 0; pool < kPoolsMax; ++pool)
    CHECK(w.get_is(c, key(pool, 7, 7), noise(pool)));
  CHECK(w.store->client_stats(*c).pools.size() == kPoolsMax);
}

TEST_CASE("a shared pool cannot be persistent", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  w.store->authorise_shared({uuid_of(9), uuid_of(1)}, true);
  PoolSpec spec = shared_pool(9);
  spec.kind = Kind::kPersistent;
  CHECK(w.store->create_pool(*c, PoolId{5}, spec) == Status::kRefused);
}

TEST_CASE("a pool that is destroyed and created again shows nothing old", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  for (const uint32_t pool : {0u, 1u}) {
    for (uint32_t i = 0; i < 500; ++i)
      REQUIRE(w.put(c, key(pool, i / 100, i), i % 2 == 0 ? noise(i) : same_filled(i)) ==
              Status::kOk);
    REQUIRE(w.store->destroy_pool(*c, PoolId{pool}) == Status::kOk);
    CHECK(w.store->destroy_pool(*c, PoolId{pool}) == Status::kNoSuchPool);
    // Under the other flags: the id is free.
    REQUIRE(w.store->create_pool(*c, PoolId{pool}, pool == 0 ? kPersistentPool : kEphemeralPool) ==
            Status::kOk);
    for (uint32_t i = 0; i < 500; ++i) CHECK(w.get(c, key(pool, i / 100, i)) == Status::kMiss);
    REQUIRE(w.put(c, key(pool, 0, 0), noise(900)) == Status::kOk);
  }
  CHECK(w.settle());
  CHECK(w.get_is(c, key(0, 0, 0), noise(900)));
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a flushed pool is empty and stays", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 300; ++i) REQUIRE(w.put(c, key(1, i % 3, i), noise(i)) == Status::kOk);
  REQUIRE(w.put(c, key(0, 0, 0), noise(0)) == Status::kOk);
  REQUIRE(w.store->flush_pool(*c, PoolId{1}) == Status::kOk);
  for (uint32_t i = 0; i < 300; ++i) CHECK(w.get(c, key(1, i % 3, i)) == Status::kMiss);
  CHECK(w.put(c, key(1, 1, 1), noise(5)) == Status::kOk);
  CHECK(w.settle());
  CHECK(w.get_is(c, key(1, 1, 1), noise(5)));
  CHECK(w.get_is(c, key(0, 0, 0), noise(0)));
  CHECK(w.pages(c, Kind::kPersistent) == 1);
}

TEST_CASE("puts into a pool free what its flushes left", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 1000; ++i)
    REQUIRE(w.put(c, key(1, i / 100, i), noise(i)) == Status::kOk);
  SECTION("of the pool") {
    REQUIRE(w.store->flush_pool(*c, PoolId{1}) == Status::kOk);
  }
  SECTION("with the pool") {
    REQUIRE(w.store->destroy_pool(*c, PoolId{1}) == Status::kOk);
    REQUIRE(w.store->create_pool(*c, PoolId{1}, kPersistentPool) == Status::kOk);
  }
  SECTION("of large objects") {
    for (uint32_t object = 0; object < 10; ++object)
      REQUIRE(w.store->flush_object(*c, PoolId{1}, key(1, object, 0).object) == Status::kOk);
  }
  CHECK(w.store->stats().contents == 1000);
  for (uint32_t i = 0; i < 600; ++i) REQUIRE(w.put(c, key(1, 20, i), noise(i)) == Status::kOk);
  CHECK(w.store->stats().contents == 600);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("who flushes without end has its puts free as many pages as they store", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 10'000; ++i) {
    REQUIRE(w.put(c, key(1, i % 7, i), noise(i)) == Status::kOk);
    if (i % 50 == 0) REQUIRE(w.store->flush_pool(*c, PoolId{1}) == Status::kOk);
  }
  CHECK(w.store->stats().contents <= 150);
}

TEST_CASE("clients see only their own pages", "[store]") {
  World w;
  const ClientRef a = w.add(1);
  const ClientRef b = w.add(2);
  REQUIRE(w.put(a, key(1, 1, 1), noise(1)) == Status::kOk);
  CHECK(w.get(b, key(1, 1, 1)) == Status::kMiss);
  REQUIRE(w.put(b, key(1, 1, 1), noise(2)) == Status::kOk);
  CHECK(w.flush(b, key(1, 1, 1)) == Status::kOk);
  CHECK(w.get_is(a, key(1, 1, 1), noise(1)));
}

TEST_CASE("a removed client answers no more, and returns without its pages", "[store]") {
  World w;
  const ClientRef c = w.add(1);
  const uint32_t number = w.store->number(*c);
  CHECK(w.store->find_client(number) == c);
  REQUIRE(w.put(c, key(1, 1, 1), noise(1)) == Status::kOk);
  const auto twin = w.store->add_client({uuid_of(1), DomId{9}, "twin"}, {});
  REQUIRE_FALSE(twin);
  CHECK(twin.error().code == Errc::kConflict);

  w.store->remove_client(*c);
  w.store->remove_client(*c);
  CHECK(w.store->find_client(number) == nullptr);
  CHECK(w.get(c, key(1, 1, 1)) == Status::kNoSuchPool);
  CHECK(w.put(c, key(1, 1, 1), noise(1)) == Status::kNoSuchPool);
  CHECK(w.store->create_pool(*c, PoolId{1}, kPersistentPool) == Status::kNoSuchPool);
  CHECK(w.store->flush_pool(*c, PoolId{1}) == Status::kNoSuchPool);
  CHECK(w.store->destroy_pool(*c, PoolId{1}) == Status::kNoSuchPool);

  const ClientRef again = w.add(1);
  CHECK(w.get(again, key(1, 1, 1)) == Status::kMiss);
  CHECK(w.settle());
  CHECK(w.store->stats().contents == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("nobody joins a shared pool unless authorised", "[store][shared]") {
  World w;
  const ClientRef a = w.add(1);
  const ClientRef b = w.add(2);
  CHECK(w.store->create_pool(*a, PoolId{8}, shared_pool(9)) == Status::kRefused);
  CHECK(w.put(a, key(8, 1, 1), noise(1)) == Status::kNoSuchPool);  // not silently a private one

  w.store->authorise_shared({uuid_of(9), uuid_of(1)}, true);
  CHECK(w.store->shared_grants().size() == 1);
  CHECK(w.store->create_pool(*a, PoolId{8}, shared_pool(9)) == Status::kOk);
  CHECK(w.store->create_pool(*a, PoolId{9}, shared_pool(10)) == Status::kRefused);
  CHECK(w.store->create_pool(*b, PoolId{8}, shared_pool(9)) == Status::kRefused);

  w.store->authorise_shared({uuid_of(9), uuid_of(2)}, true);
  w.store->authorise_shared({uuid_of(9), uuid_of(2)}, false);
  CHECK(w.store->shared_grants().size() == 1);
  CHECK(w.store->create_pool(*b, PoolId{8}, shared_pool(9)) == Status::kRefused);
}

TEST_CASE("members of a shared pool see each other's pages, and a get keeps them",
          "[store][shared]") {
  World w;
  const ClientRef a = w.add(1);
  const ClientRef b = w.add(2);
  for (const uint8_t client : {uint8_t{1}, uint8_t{2}})
    w.store->authorise_shared({uuid_of(9), uuid_of(client)}, true);
  REQUIRE(w.store->create_pool(*a, PoolId{8}, shared_pool(9)) == Status::kOk);
  REQUIRE(w.store->create_pool(*b, PoolId{3}, shared_pool(9)) == Status::kOk);  // an id of its own

  REQUIRE(w.put(a, key(8, 1, 1), noise(1)) == Status::kOk);
  CHECK(w.get_is(b, key(3, 1, 1), noise(1)));
  CHECK(w.get_is(b, key(3, 1, 1), noise(1)));
  CHECK(w.get_is(a, key(8, 1, 1), noise(1)));
  REQUIRE(w.put(b, key(3, 1, 1), noise(2)) == Status::kOk);
  CHECK(w.get_is(a, key(8, 1, 1), noise(2)));
  CHECK(w.flush(a, key(8, 1, 1)) == Status::kOk);
  CHECK(w.get(b, key(3, 1, 1)) == Status::kMiss);
  CHECK(w.pages(a, Kind::kEphemeral) == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a shared pool lives as long as it has members, and leaves nothing behind",
          "[store][shared]") {
  World w;
  const ClientRef a = w.add(1);
  const ClientRef b = w.add(2);
  for (const uint8_t client : {uint8_t{1}, uint8_t{2}})
    w.store->authorise_shared({uuid_of(9), uuid_of(client)}, true);
  REQUIRE(w.store->create_pool(*a, PoolId{8}, shared_pool(9)) == Status::kOk);
  REQUIRE(w.store->create_pool(*b, PoolId{8}, shared_pool(9)) == Status::kOk);
  REQUIRE(w.put(b, key(8, 1, 1), noise(1)) == Status::kOk);
  REQUIRE(w.store->destroy_pool(*a, PoolId{8}) == Status::kOk);
  CHECK(w.get(a, key(8, 1, 1)) == Status::kNoSuchPool);
  // Whether b's old pages stay is open; its new ones do.
  REQUIRE(w.put(b, key(8, 1, 2), noise(2)) == Status::kOk);
  CHECK(w.get_is(b, key(8, 1, 2), noise(2)));

  w.store->remove_client(*b);
  REQUIRE(w.store->create_pool(*a, PoolId{8}, shared_pool(9)) == Status::kOk);
  CHECK(w.get(a, key(8, 1, 1)) == Status::kMiss);
  CHECK(w.get(a, key(8, 1, 2)) == Status::kMiss);
  CHECK(w.settle());
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a guest that makes and ends shared pools is refused before it takes much memory",
          "[store][shared]") {
  World w;
  const ClientRef a = w.add(1);
  const ClientRef b = w.add(2);
  for (const uint8_t client : {uint8_t{1}, uint8_t{2}})
    w.store->authorise_shared({uuid_of(9), uuid_of(client)}, true);
  w.store->authorise_shared({uuid_of(10), uuid_of(1)}, true);
  REQUIRE(w.store->create_pool(*a, PoolId{7}, shared_pool(10)) == Status::kOk);
  uint32_t created = 0;
  while (created < 200 && w.store->create_pool(*a, PoolId{8}, shared_pool(9)) == Status::kOk) {
    REQUIRE(w.store->destroy_pool(*a, PoolId{8}) == Status::kOk);
    ++created;
  }
  CHECK(created == 64);
  CHECK(w.store->create_pool(*a, PoolId{7}, shared_pool(10)) == Status::kOk);  // it has that one
  CHECK(w.put(a, key(7, 1, 1), noise(1)) == Status::kOk);
  CHECK(w.store->create_pool(*a, PoolId{8}, kEphemeralPool) == Status::kOk);
  CHECK(w.store->create_pool(*b, PoolId{8}, shared_pool(9)) == Status::kOk);
  w.store->remove_client(*a);
  CHECK(w.store->create_pool(*w.add(1), PoolId{8}, shared_pool(9)) == Status::kOk);
}

TEST_CASE("members that come and go do not end a shared pool", "[store][shared]") {
  World w;
  const ClientRef a = w.add(1);
  const ClientRef b = w.add(2);
  for (const uint8_t client : {uint8_t{1}, uint8_t{2}})
    w.store->authorise_shared({uuid_of(9), uuid_of(client)}, true);
  REQUIRE(w.store->create_pool(*b, PoolId{8}, shared_pool(9)) == Status::kOk);
  REQUIRE(w.put(b, key(8, 1, 1), noise(1)) == Status::kOk);
  for (int i = 0; i < 200; ++i) {
    REQUIRE(w.store->create_pool(*a, PoolId{8}, shared_pool(9)) == Status::kOk);
    REQUIRE(w.store->destroy_pool(*a, PoolId{8}) == Status::kOk);
  }
  CHECK(w.get_is(b, key(8, 1, 1), noise(1)));
}

TEST_CASE("a shared pool is listed as its own client", "[store][shared]") {
  World w;
  const ClientRef a = w.add(1);
  w.store->authorise_shared({uuid_of(9), uuid_of(1)}, true);
  REQUIRE(w.store->create_pool(*a, PoolId{8}, shared_pool(9)) == Status::kOk);
  REQUIRE(w.put(a, key(8, 1, 1), noise(1)) == Status::kOk);
  bool found = false;
  for (const ClientStats& stats : w.store->all_client_stats()) {
    if (!stats.is_shared_pool) continue;
    found = true;
    CHECK(stats.pages[0] == 1);
    const ClientRef pool = w.store->find_client(stats.number);
    REQUIRE(pool != nullptr);
    CHECK(w.store->evict_client(w.worker, *pool) == 1);
  }
  CHECK(found);
  CHECK(w.get(a, key(8, 1, 1)) == Status::kMiss);
}

}  // namespace tmem::store
