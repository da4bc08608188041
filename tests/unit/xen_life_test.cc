// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a connection on a fake Xen host: state jumps, guests that vanish, misbehave or
// reconnect, and daemons that end, die and come back.
#include "tests/unit/xen_world.h"
#include "tmemd/transport/xen/server.h"

namespace tmem::transport::xen {
namespace {

using store::noise;
using store::Status;

const char* const kStates[] = {"0", "1", "2", "3", "4", "5", "6", "7", "999", "x", "", nullptr};

void jump(FakeGuest& guest, const char* state) {
  if (state == nullptr)
    guest.unset("state");
  else
    guest.set("state", state);
}

// From wherever it is, a guest that closes properly can connect again.
void check_next_attempt(XenWorld& world, FakeGuest& guest) {
  guest.go(6);
  world.settle();
  world.pass_ms(20'000);
  CHECK(guest.backend("state") == "2");
  REQUIRE(world.connect(guest));
  CHECK(world.create(guest, 0, 0) == Status::kOk);
}

TEST_CASE("xen: every state that a waiting frontend may jump to") {
  const char* const state = GENERATE(from_range(std::begin(kStates), std::end(kStates)));
  INFO("to " << (state != nullptr ? state : "(gone)"));
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  world.settle();
  jump(guest, state);
  world.settle();
  CHECK(world.holds_nothing());
  check_next_attempt(world, guest);
}

TEST_CASE("xen: every state that a connected frontend may jump to") {
  const char* const state = GENERATE(from_range(std::begin(kStates), std::end(kStates)));
  const std::string text = state != nullptr ? state : "";
  INFO("to " << (state != nullptr ? state : "(gone)"));
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  REQUIRE(world.connect(guest));
  jump(guest, state);
  world.settle();
  const bool stays = text == "3" || text == "4";
  CHECK(world.holds_nothing() == !stays);
  CHECK((guest.backend("state") == "4") == stays);
  if (!stays) CHECK(load_acquire(guest.control().closed) == 1);
  if (!stays) CHECK(load_acquire(guest.control().served) == 0);
  check_next_attempt(world, guest);
}

TEST_CASE("xen: every state that a refused frontend may jump to") {
  const char* const state = GENERATE(from_range(std::begin(kStates), std::end(kStates)));
  INFO("to " << (state != nullptr ? state : "(gone)"));
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  world.settle();
  guest.go(4);  // before the backend
  world.settle();
  CHECK(guest.backend("state") == "6");
  jump(guest, state);
  world.settle();
  world.pass_ms(500);
  CHECK(world.holds_nothing());
  check_next_attempt(world, guest);
}

TEST_CASE("xen: a frontend that removes all its nodes gets them anew") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  REQUIRE(world.connect(guest));
  world.host.remove(frontend_path(DomId{1}));
  world.settle();
  CHECK(world.holds_nothing());
  world.pass_ms(100);
  CHECK(world.host.read(guest.path("state")) == "1");
  CHECK(world.host.read(guest.path("backend")) == backend_path(DomId{1}));
  CHECK(world.host.access(frontend_path(DomId{1}))->owner == DomId{1});
  CHECK(world.connect(guest));
}

TEST_CASE("xen: a guest that dies, in each phase, leaves nothing behind") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  world.settle();
  bool zombie = false;
  SECTION("waiting") {}
  SECTION("connected") {
    REQUIRE(world.connect(guest));
  }
  SECTION("connected, and a zombie as long as its pages are mapped") {
    REQUIRE(world.connect(guest));
    zombie = true;
  }
  SECTION("waiting for a port") {
    guest.prepare();
    world.host.set_busy(1, guest.port(0), true);
    guest.go(3);
    world.settle();
  }
  SECTION("refused") {
    guest.go(4);
    world.settle();
  }
  SECTION("closing") {
    REQUIRE(world.connect(guest));
    guest.go(5);
    world.settle();
  }
  world.host.destroy_domain(1, zombie);
  world.settle();
  CHECK(world.holds_nothing());
  CHECK(world.clients() == 0);
  CHECK(world.guests->infos().empty());
  CHECK_FALSE(world.host.exists_below(backend_folder(DomId{1})));
  CHECK_FALSE(world.host.exists_below(error_folder(DomId{1})));
  CHECK(world.host.watches() == 2);
  world.pass_ms(60'000);
  CHECK(world.guests->infos().empty());
}

TEST_CASE("xen: nodes that the toolstack removes before the domain dies are not made anew") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  world.settle();
  const bool connected = GENERATE(false, true);
  if (connected) REQUIRE(world.connect(guest));
  world.host.remove(domain_path(DomId{1}));
  world.settle();
  world.pass_ms(10'000);
  CHECK(world.holds_nothing());
  CHECK_FALSE(world.host.exists_below(domain_path(DomId{1}) + "/"));
  world.host.destroy_domain(1);
  world.settle();
  CHECK(world.guests->infos().empty());
  CHECK_FALSE(world.host.exists_below(domain_path(DomId{1}) + "/"));
  CHECK_FALSE(world.host.exists_below(backend_folder(DomId{1})));
}

TEST_CASE("xen: a domain whose name comes back is offered a connection again") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  world.settle();
  world.host.remove(domain_path(DomId{1}));
  world.pass_ms(10'000);
  CHECK(guest.backend("state") == "6");
  world.host.write(domain_path(DomId{1}) + "/name", "web");
  world.pass_ms(2'000);
  CHECK(guest.backend("state") == "2");
  CHECK(world.host.read(guest.path("state")) == "1");
  CHECK(world.connect(guest));
}

TEST_CASE("xen: a number that another domain has now is another guest") {
  XenWorld world;
  FakeGuest old_guest(world.host, 1, "web");
  REQUIRE(world.connect(old_guest));
  REQUIRE(world.create(old_guest, 1, TMEM_POOL_PERSISTENT) == Status::kOk);
  REQUIRE(world.put(old_guest, 1, 5, noise(5)) == Status::kOk);
  const uint64_t epoch = old_guest.control().store_epoch;
  world.host.destroy_domain(1);
  FakeGuest guest(world.host, 1, "db");
  world.host.destroy_domain(1);
  world.host.write("/local/domain/1/name", "db");
  world.host.add_domain(1, store::uuid_of(77));
  world.settle();  // both events at once: only the handle tells them apart
  REQUIRE(world.connect(guest));
  CHECK(guest.control().store_epoch != epoch);
  CHECK(world.clients() == 1);
  REQUIRE(world.create(guest, 1, TMEM_POOL_PERSISTENT) == Status::kOk);
  CHECK_FALSE(world.get_is(guest, 1, 5, noise(5)));
}

TEST_CASE("xen: a reconnected guest has its persistent pages, and no ephemeral ones") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  REQUIRE(world.connect(guest));
  REQUIRE(world.create(guest, 0, 0) == Status::kOk);
  REQUIRE(world.create(guest, 1, TMEM_POOL_PERSISTENT) == Status::kOk);
  REQUIRE(world.put(guest, 0, 5, noise(1)) == Status::kOk);
  REQUIRE(world.put(guest, 1, 5, noise(2)) == Status::kOk);
  const uint64_t epoch = guest.control().store_epoch;
  world.pass_ms(11'000);
  guest.go(6);
  world.settle();
  CHECK(guest.backend("state") == "2");  // at once: it was connected long enough
  REQUIRE(world.connect(guest));
  CHECK(guest.control().store_epoch == epoch);
  CHECK(world.create(guest, 0, 0) == Status::kOk);
  CHECK(world.create(guest, 1, TMEM_POOL_PERSISTENT) == Status::kOk);
  CHECK(world.get_is(guest, 1, 5, noise(2)));
  CHECK(world.call(guest, FakeGuest::request(TMEM_OP_GET, 0, 5, 7)) == Status::kMiss);
}

TEST_CASE("xen: a guest that misbehaves loses its connection, and has to wait longer each time") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web", 1);
  FakeGuest other(world.host, 2, "db", 1);
  REQUIRE(world.connect(other));
  world.settle();
  uint64_t penalty_ms = 100;
  for (int i = 0; i < 10; ++i) {
    REQUIRE(world.connect(guest));
    store_release(guest.control().req_prod, 1000u);
    world.host.notify_daemon(1, guest.port(0));
    REQUIRE(eventually([&] { return load_acquire(guest.control().closed) == 1; }));
    REQUIRE(eventually([&] {
      world.settle();
      return guest.backend("state") == "6";
    }));
    CHECK(guest.error().find("ran ahead") != std::string::npos);
    CHECK(world.host.mapped() == 2);
    guest.go(6);
    world.pass_ms(penalty_ms - 1);
    CHECK(guest.backend("state") == "6");
    world.pass_ms(1);
    CHECK(guest.backend("state") == "2");
    penalty_ms = std::min<uint64_t>(2 * penalty_ms, 10'000);
  }
  CHECK(world.world->counters.misbehaved[static_cast<size_t>(CloseReason::kRequestOverflow)] == 10);
  CHECK(world.create(other, 0, 0) == Status::kOk);
}

TEST_CASE(
    "xen: a storm of events costs one wake-up for each acknowledgement, then the connection") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web", 1);
  REQUIRE(world.connect(guest));
  uint64_t sent = 0;
  REQUIRE(eventually([&] {
    for (int i = 0; i < 1000; ++i) world.host.notify_daemon(1, guest.port(0));
    sent += 1000;
    world.settle();
    return guest.backend("state") == "6";
  }));
  CHECK(guest.error().find("notifications") != std::string::npos);
  const uint64_t seen = world.host.daemon_events(1, guest.port(0));
  CHECK(seen >= 256);
  CHECK(seen <= 4200);
  CHECK(sent > seen);
}

TEST_CASE("xen: a flood of xenstore writes is taken in bounded turns") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web", 1);
  REQUIRE(world.connect(guest));
  for (int i = 0; i < 10'000; ++i) guest.go(4);
  const uint64_t reads = world.host.reads;
  CHECK(world.guests->handle());
  CHECK(world.host.events_waiting() == 10'000 - 1024);
  CHECK(world.host.reads == reads + 1);
  world.settle();
  CHECK(guest.backend("state") == "4");
}

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

TEST_CASE("xen: an administrator ends a connection; the guest comes back as another client") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  REQUIRE(world.connect(guest));
  REQUIRE(world.create(guest, 1, TMEM_POOL_PERSISTENT) == Status::kOk);
  REQUIRE(world.put(guest, 1, 5, noise(2)) == Status::kOk);
  const uint64_t epoch = guest.control().store_epoch;
  Guest* const found = world.guests->find(world.guests->infos()[0].client);
  REQUIRE(found != nullptr);
  found->disconnect();
  CHECK(world.holds_nothing());
  CHECK(world.clients() == 0);
  CHECK(guest.backend("state") == "6");
  check_next_attempt(world, guest);
  CHECK(guest.control().store_epoch != epoch);
}

TEST_CASE("xen: evacuation is asked for and taken back; what the guest says of it is shown") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  REQUIRE(world.connect(guest));
  guest.set("can-migrate", "1");
  Guest* const found = world.guests->find(world.guests->infos()[0].client);
  REQUIRE(found != nullptr);
  found->set_evacuating(true);
  CHECK(guest.backend("evacuate") == "1");
  // What it said before is no answer.
  CHECK_FALSE(world.guests->infos()[0].can_migrate);
  guest.set("evacuating", "1");
  guest.set("can-migrate", "0");
  guest.set("evacuate-error", "no disk\x01");
  CHECK(world.guests->infos()[0].evacuating);
  CHECK_FALSE(world.guests->infos()[0].can_migrate);
  CHECK(world.guests->infos()[0].evacuate_error == "no disk?");
  guest.set("can-migrate", "1");
  CHECK(world.guests->infos()[0].can_migrate);
  found->set_evacuating(false);
  CHECK(guest.backend("evacuate") == "0");
}

// Its modules were unloaded; what the last one said of evacuation is still there.
void unload_modules(XenWorld& world, FakeGuest& guest) {
  guest.set("can-migrate", "0");
  guest.set("evacuating", "0");
  guest.set("evacuate-error", "swap is in use");
  guest.go(6);
  world.settle();
  world.pass_ms(1'000);
  REQUIRE(guest.backend("state") == "2");
}

TEST_CASE("xen: a guest without connection and persistent pages has evacuated, and stays so") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  REQUIRE(world.connect(guest));
  REQUIRE(world.create(guest, 0, 0) == Status::kOk);
  REQUIRE(world.put(guest, 0, 5, noise(1)) == Status::kOk);
  unload_modules(world, guest);
  Guest* const found = world.guests->find(world.guests->infos()[0].client);
  REQUIRE(found != nullptr);
  found->set_evacuating(true);
  CHECK(guest.backend("evacuate") == "1");
  CHECK(world.guests->infos()[0].can_migrate);
  CHECK(world.guests->infos()[0].evacuate_error.empty());
  // It could put pages while it is saved.
  CHECK_FALSE(world.connect(guest));
  world.pass_ms(60'000);
  CHECK(guest.backend("state") == "2");
  CHECK(world.holds_nothing());
  CHECK(world.guests->infos()[0].can_migrate);
  found->set_evacuating(false);
  world.settle();
  CHECK(guest.backend("state") == "4");
  guest.go(4);
  CHECK(world.create(guest, 0, 0) == Status::kOk);
}

TEST_CASE("xen: a guest that evacuates is connected again while it has persistent pages") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  REQUIRE(world.connect(guest));
  REQUIRE(world.create(guest, 1, TMEM_POOL_PERSISTENT) == Status::kOk);
  REQUIRE(world.put(guest, 1, 5, noise(2)) == Status::kOk);
  unload_modules(world, guest);
  Guest* const found = world.guests->find(world.guests->infos()[0].client);
  REQUIRE(found != nullptr);
  found->set_evacuating(true);
  CHECK_FALSE(world.guests->infos()[0].can_migrate);
  REQUIRE(world.connect(guest));
  CHECK(world.get_is(guest, 1, 5, noise(2)));
}

TEST_CASE("xen: the thread serves guests by itself and ends them when it stops") {
  XenWorld world;
  world.stop();
  const SteadyClock clock;
  FakeGuest guest(world.host, 1, "web");
  {
    auto server = XenServer::start(world.options(), world.host.platform(), *world.store.store,
                                   *world.workers, clock);
    REQUIRE(server);
    REQUIRE(eventually([&] { return guest.backend("state") == "2"; }));
    guest.prepare();
    guest.go(3);
    REQUIRE(eventually([&] { return guest.backend("state") == "4"; }));
    guest.go(4);
    REQUIRE(world.create(guest, 1, TMEM_POOL_PERSISTENT) == Status::kOk);
    CHECK(world.put(guest, 1, 8, noise(8)) == Status::kOk);
    const uint32_t client = (*server)->guests().at(0).client;
    CHECK((*server)->set_evacuating(client, true));
    CHECK(guest.backend("evacuate") == "1");
    CHECK_FALSE((*server)->set_evacuating(client + 1, true));
    CHECK((*server)->counters().totals.requests == 2);
    store_release(guest.control(1).req_prod, 1000u);
    world.host.notify_daemon(1, guest.port(1));
    REQUIRE(eventually([&] { return guest.backend("state") == "6"; }));
    guest.go(6);
    REQUIRE(eventually([&] { return guest.backend("state") == "2"; }));
    guest.prepare();
    guest.go(3);
    REQUIRE(eventually([&] { return guest.backend("state") == "4"; }));
    guest.go(4);
    CHECK((*server)->disconnect(client));
    CHECK(guest.backend("state") == "6");
    guest.go(6);
    REQUIRE(eventually([&] { return guest.backend("state") == "2"; }));
    guest.prepare();
    guest.go(3);
    REQUIRE(eventually([&] { return guest.backend("state") == "4"; }));
  }
  CHECK(world.holds_nothing());
  CHECK(guest.backend("state") == "6");
  CHECK(load_acquire(guest.control().closed) == 1);
}

}  // namespace
}  // namespace tmem::transport::xen
