// SPDX-License-Identifier: GPL-2.0-or-later
// The Xen transport: guests are asked to write old pages to their disks while the pool is full of
// persistent ones.
#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "tests/unit/store_world.h"
#include "tests/unit/xen_world.h"

namespace tmem::transport::xen {
namespace {

using store::Kind;
using store::Status;

constexpr uint32_t kKibPerSecond = 8192;
constexpr uint64_t kLimitBytes = 16 << 20;
constexpr uint32_t kSixteenth = kLimitBytes / 16 / kPageBytes;

// A guest with a page of swap in the pool.
void swap_out(XenWorld& world, FakeGuest& guest, uint64_t number) {
  REQUIRE(world.create(guest, 1, TMEM_POOL_PERSISTENT) == Status::kOk);
  REQUIRE(world.put(guest, 1, 5, store::noise(1'000'000 + number)) == Status::kOk);
}

// A daemon that asks for write-back, and a guest of it.
struct Asking {
  Asking() {
    world.write_back_kib_s = kKibPerSecond;
    world.start();
    guest.emplace(world.host, uint16_t{1}, "web");
    REQUIRE(world.connect(*guest));
  }
  std::string asked() const { return guest->backend("write-back"); }

  XenWorld world;
  std::optional<FakeGuest> guest;
};

struct FullPool {
  explicit FullPool(XenWorld& xen_world) : world(xen_world), client(xen_world.store.add(9)) {
    world.store.store->set_arena_limit(kLimitBytes);
  }
  // Incompressible ones are what the pool has then.
  void hold(uint32_t pages) {
    for (; held < pages; ++held)
      REQUIRE(world.store.put(client, store::key(1, held, 0), store::noise(held)) == Status::kOk);
    for (; held > pages; --held)
      REQUIRE(world.store.flush(client, store::key(1, held - 1, 0)) == Status::kOk);
    REQUIRE(world.store.settle());
    world.pass_ms(1'000);
  }

  XenWorld& world;
  store::ClientRef client;
  uint32_t held = 0;
};

}  // namespace

TEST_CASE("xen: write-back is asked for while persistent pages have nearly all of the pool") {
  Asking asking;
  XenWorld& world = asking.world;
  CHECK(asking.asked() == "0");
  swap_out(world, *asking.guest, 1);
  FullPool pool(world);
  pool.hold(12 * kSixteenth);
  CHECK(asking.asked() == "0");
  pool.hold(14 * kSixteenth - kSixteenth / 2);
  CHECK(asking.asked() == "8192");
  CHECK(asking.guest->backend("state") == "4");
  CHECK(world.guests->infos()[0].write_back_kib_s == kKibPerSecond);

  SECTION("not taken back at once when there is a little less") {
    pool.hold(12 * kSixteenth);
    CHECK(asking.asked() == "8192");
    pool.hold(10 * kSixteenth);
    CHECK(asking.asked() == "0");
    CHECK(world.guests->infos()[0].write_back_kib_s == 0);
  }
  SECTION("of a guest that comes later too") {
    FakeGuest other(world.host, 2, "db");
    REQUIRE(world.connect(other));
    world.pass_ms(1'000);
    CHECK(other.backend("write-back") == "0");  // it has nothing to move
    swap_out(world, other, 2);
    world.pass_ms(1'000);
    CHECK(other.backend("write-back") == "8192");
  }
  SECTION("a limit that grows ends it") {
    world.store.store->set_arena_limit(4 * kLimitBytes);
    world.pass_ms(1'000);
    CHECK(asking.asked() == "0");
  }
  SECTION("a daemon that begins anew finds out itself") {
    world.write_back_kib_s = 0;
    world.start();
    world.pass_ms(1'000);
    CHECK(asking.asked() == "0");
  }
}

// Others cannot have what it moves out.
TEST_CASE("xen: a guest within its guarantee is not asked to write back") {
  Asking asking;
  XenWorld& world = asking.world;
  swap_out(world, *asking.guest, 1);
  FullPool pool(world);
  pool.hold(13 * kSixteenth);
  CHECK(asking.asked() == "8192");
  store::ClientSettings settings;
  settings.guarantee_bytes = 128 << 10;
  const store::ClientRef client = world.store.store->find_client(world.guests->infos()[0].client);
  REQUIRE(world.store.store->configure(*client, settings));
  world.pass_ms(1'000);
  CHECK(asking.asked() == "0");
}

// A promise that nobody uses yet leaves no more room than pages do.
TEST_CASE("xen: guarantees count as what they are") {
  Asking asking;
  XenWorld& world = asking.world;
  swap_out(world, *asking.guest, 1);
  FullPool pool(world);
  pool.hold(4 * kSixteenth);
  CHECK(asking.asked() == "0");
  store::ClientSettings settings;
  settings.guarantee_bytes = 9 * kSixteenth * kPageBytes;
  const store::ClientRef idle = world.store.add(10, settings);
  world.pass_ms(1'000);
  CHECK(asking.asked() == "8192");
}

TEST_CASE("xen: ephemeral pages are no reason to write back") {
  Asking asking;
  XenWorld& world = asking.world;
  const store::ClientRef client = world.store.add(9);
  world.store.store->set_arena_limit(kLimitBytes);
  for (uint32_t page = 0; page < 15 * kSixteenth; ++page)
    REQUIRE(world.store.put(client, store::key(0, page, 0), store::noise(page)) == Status::kOk);
  world.pass_ms(1'000);
  CHECK(asking.asked() == "0");
}

}  // namespace tmem::transport::xen
