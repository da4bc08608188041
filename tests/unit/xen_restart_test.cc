// SPDX-License-Identifier: GPL-2.0-or-later
// Connections on a fake Xen host outlive what is around them: daemons that end, die and come back,
// and an xenstore that does not answer.
#include "tests/unit/xen_world.h"
#include "tmemd/transport/xen/server.h"

namespace tmem::transport::xen {
namespace {

using store::noise;
using store::Status;

TEST_CASE("xen: a daemon that ends in good order tells its guests; the next one starts afresh") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  REQUIRE(world.connect(guest));
  const uint64_t epoch = guest.control().store_epoch;
  world.stop();
  CHECK(guest.backend("state") == "6");
  CHECK(load_acquire(guest.control(0).closed) == 1);
  CHECK(load_acquire(guest.control(1).served) == 0);
  CHECK(world.host.guest_events(1, guest.port(0)) >= 2);
  CHECK(world.holds_nothing());
  CHECK(world.host.read(guest.path("state")) == "4");

  SECTION("the guest lets go before the next daemon comes") {
    guest.go(6);
    world.start();
    world.pass_ms(100);
  }
  SECTION("or afterwards") {
    world.start();
    CHECK(guest.backend("state") == "6");
    guest.go(6);
    world.pass_ms(100);
  }
  CHECK(guest.backend("state") == "2");
  REQUIRE(world.connect(guest));
  CHECK(guest.control().store_epoch != epoch);
}

// A daemon died with requests in the ring: backend and frontend at 4, served and mappings gone.
struct Orphan {
  explicit Orphan(uint32_t frontend = 4) {
    world.settle();
    guest.prepare();
    world.guests.reset();  // the frontend is not connected: nothing in its pages changes
    for (uint32_t i = 0; i < 2; ++i) {
      tmem_control_page& control = guest.control(i);
      control.magic = TMEM_CONTROL_MAGIC;
      control.version = 1;
      control.store_epoch = kOldEpoch;
      control.rsp_prod = control.req_prod = 100;
      control.rsp_event = 99;
    }
    world.host.write(backend_path(DomId{1}) + "/state", "4");
    guest.go(frontend);
  }
  static constexpr uint64_t kOldEpoch = 0x1234;
  XenWorld world;
  FakeGuest guest{world.host, 1, "web"};
};

TEST_CASE("xen: a new daemon takes over the rings of one that died") {
  Orphan orphan(GENERATE(3, 4));
  XenWorld& world = orphan.world;
  FakeGuest& guest = orphan.guest;
  tmem_request waiting = FakeGuest::request(TMEM_OP_NOP, 0, 0, TMEM_NO_SLOT);
  waiting.epoch = Orphan::kOldEpoch;
  const uint32_t counter = guest.post(waiting, 0);
  world.start();
  CHECK(guest.backend("state") == "4");
  for (uint32_t i = 0; i < 2; ++i) {
    CHECK(load_acquire(guest.control(i).served) == 1);
    CHECK(guest.control(i).store_epoch != Orphan::kOldEpoch);
    CHECK(world.host.guest_events(1, guest.port(i)) >= 1);
  }
  REQUIRE(eventually([&] { return guest.answer(0, counter).has_value(); }));
  CHECK(guest.answer(0, counter) == Status::kStaleEpoch);
  guest.go(4);
  world.settle();
  CHECK(guest.backend("state") == "4");
  CHECK(world.create(guest, 1, TMEM_POOL_PERSISTENT) == Status::kOk);
  CHECK(world.put(guest, 1, 3, noise(3)) == Status::kOk);
  CHECK(world.world->counters.taken_over == 1);
}

TEST_CASE("xen: a new daemon waits while the dying one still has the ports") {
  Orphan orphan;
  orphan.world.host.set_busy(1, orphan.guest.port(1), true);
  orphan.world.start();
  CHECK(load_acquire(orphan.guest.control(0).served) == 0);
  CHECK(orphan.guest.backend("state") == "4");
  CHECK(orphan.world.holds_nothing());
  orphan.world.host.set_busy(1, orphan.guest.port(1), false);
  orphan.world.pass_ms(50);
  CHECK(load_acquire(orphan.guest.control(0).served) == 1);
}

TEST_CASE("xen: rings that cannot be taken over are closed") {
  Orphan orphan;
  XenWorld& world = orphan.world;
  FakeGuest& guest = orphan.guest;
  SECTION("closed before") {
    guest.control(1).closed = 1;
  }
  SECTION("counters that contradict each other") {
    guest.control(1).rsp_prod = 5000;
  }
  SECTION("more credits than a guest is given") {
    guest.control(0).credits_granted = 1'000'000;
  }
  SECTION("grants that are gone") {
    world.host.memory(1).grants.clear();
  }
  SECTION("keys that are gone") {
    guest.unset("queue-1/event-channel");
  }
  world.start();
  CHECK(guest.backend("state") == "6");
  CHECK(world.holds_nothing());
  CHECK_FALSE(guest.error().empty());
  CHECK(world.world->counters.take_overs_lost == 1);
  check_next_attempt(world, guest);
}

TEST_CASE("xen: a daemon that died while a guest was connecting, closing or gone") {
  Orphan orphan;
  XenWorld& world = orphan.world;
  FakeGuest& guest = orphan.guest;
  SECTION("the guest closes meanwhile") {
    guest.go(6);
    world.start();
    CHECK(guest.backend("state") == "6");
    world.pass_ms(100);
    CHECK(guest.backend("state") == "2");
  }
  SECTION("the guest had offered, the daemon had not answered") {
    world.host.write(backend_path(DomId{1}) + "/state", "2");
    guest.prepare();
    guest.go(3);
    world.start();
    CHECK(guest.backend("state") == "4");
    CHECK(world.world->counters.taken_over == 0);
  }
  SECTION("the domain is gone") {
    world.host.destroy_domain(1);
    world.start();
    CHECK_FALSE(world.host.exists_below(backend_folder(DomId{1})));
    CHECK(world.guests->infos().empty());
  }
  SECTION("the domain is gone and its number has another one") {
    world.host.destroy_domain(1);
    world.host.write("/local/domain/1/name", "db");
    world.host.write(backend_path(DomId{1}) + "/evacuate", "1");
    world.host.add_domain(1, store::uuid_of(99));
    world.start();
    CHECK(guest.backend("state") == "2");
    CHECK(guest.backend("evacuate") == "0");
  }
}

TEST_CASE("xen: a guest that may not use tmem any more is told, and its nodes go with it") {
  Orphan orphan;
  orphan.world.admits = [](const store::ClientIdentity&) { return false; };
  orphan.world.start();
  CHECK(orphan.guest.backend("state") == "6");
  CHECK(orphan.world.guests->infos().empty());
  CHECK(orphan.world.holds_nothing());
  orphan.world.host.destroy_domain(1);
  orphan.world.settle();
  CHECK_FALSE(orphan.world.host.exists_below(backend_folder(DomId{1})));
}

TEST_CASE("xen: an xenstore that cannot be read ends no connection") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  REQUIRE(world.connect(guest));
  world.log.clear();
  world.host.unreadable = "";
  guest.go(4);
  for (int i = 0; i < 10; ++i) world.pass_ms(2'000);
  CHECK(world.log == std::vector<std::string>{
                         "domain 1 ('web'): cannot read /local/domain/1/device/tmem/0/state in "
                         "xenstore"});
  CHECK(guest.backend("state") == "4");
  CHECK(world.create(guest, 0, 0) == Status::kOk);
  world.host.unreadable.reset();
  world.pass_ms(2'000);
  CHECK(world.guests->due_ms() > world.store.clock.now_ms());
  guest.go(6);
  world.settle();
  CHECK(world.holds_nothing());
}

TEST_CASE("xen: what a guest offers is read again where xenstore did not answer") {
  for (const char* key : {"num-queues", "feature-credits", "queue-0/event-channel"}) {
    CAPTURE(key);
    XenWorld world;
    FakeGuest guest(world.host, 1, "web");
    world.host.unreadable = std::string("tmem/0/") + key;
    CHECK_FALSE(world.connect(guest));
    for (int i = 0; i < 10; ++i) world.pass_ms(2'000);
    CHECK(guest.backend("state") == "2");
    CHECK(world.world->counters.refused == 0);
    world.host.unreadable.reset();
    world.pass_ms(2'000);
    CHECK(guest.backend("state") == "4");
  }
}

TEST_CASE("xen: a domain that xenstore cannot tell of is looked at again") {
  XenWorld world;
  world.host.unreadable = "";
  const FakeGuest guest(world.host, 1, "web");
  for (int i = 0; i < 10; ++i) world.pass_ms(2'000);
  CHECK(world.guests->infos().empty());
  CHECK(world.log.size() == 1);
  CHECK(world.world->counters.guests_seen == 0);
  world.host.unreadable.reset();
  world.pass_ms(2'000);
  CHECK(guest.backend("state") == "2");
  CHECK(world.world->counters.guests_seen == 1);
}

}  // namespace
}  // namespace tmem::transport::xen
