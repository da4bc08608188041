// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a connection on a fake Xen host: state jumps, guests that vanish, misbehave,
// reconnect or evacuate.
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

// Initialising, Closing and Closed need no excuse.
bool is_allowed(const char* state) {
  const std::string text = state != nullptr ? state : "";
  return text == "1" || text == "5" || text == "6";
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
  CHECK(world.host.exists_below(error_folder(DomId{1})) == !is_allowed(state));
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
  CHECK(world.host.exists_below(error_folder(DomId{1})) == !(stays || is_allowed(state)));
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
    REQUIRE(eventually([&] { return guest.has_nodes(); }));
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
