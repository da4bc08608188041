// SPDX-License-Identifier: GPL-2.0-or-later
// Guests of a fake Xen host connect: the handshake, what they may write wrong, and that each
// failure frees everything and leaves the next attempt clean.
#include "tests/unit/xen_world.h"

namespace tmem::transport::xen {
namespace {

using store::noise;
using store::Status;

TEST_CASE("xen: a guest finds its nodes, readable and writable by whom they concern") {
  XenWorld world;
  const FakeGuest guest(world.host, 3, "web");
  world.settle();
  CHECK(guest.backend("state") == "2");
  CHECK(guest.backend("frontend") == "/local/domain/3/device/tmem/0");
  CHECK(guest.backend("frontend-id") == "3");
  CHECK(guest.backend("online") == "1");
  CHECK(guest.backend("version-min") == "1");
  CHECK(guest.backend("version-max") == "1");
  CHECK(guest.backend("max-queues") == "4");
  CHECK(guest.backend("max-ring-order") == "4");
  CHECK(guest.backend("max-slots") == "1024");
  CHECK(guest.backend("feature-credits") == "1");
  CHECK(guest.backend("evacuate") == "0");
  CHECK(world.host.read(guest.path("backend")) == "/local/domain/0/backend/tmem/3/0");
  CHECK(world.host.read(guest.path("backend-id")) == "0");
  CHECK(world.host.read(guest.path("state")) == "1");
  const auto frontend = world.host.access(frontend_path(DomId{3}));
  const auto backend = world.host.access(backend_path(DomId{3}));
  REQUIRE((frontend && backend));
  CHECK((frontend->owner == DomId{3} && frontend->reader == DomId{0}));
  CHECK((backend->owner == DomId{0} && backend->reader == DomId{3}));
  CHECK(world.clients() == 0);  // not before it connects
}

TEST_CASE("xen: pages travel over all queues; the control pages say what was agreed") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web", 3);
  REQUIRE(world.connect(guest));
  for (uint32_t i = 0; i < 3; ++i) {
    const tmem_control_page& control = guest.control(i);
    CHECK(control.magic == TMEM_CONTROL_MAGIC);
    CHECK(control.version == 1);
    CHECK(control.features == TMEM_FEATURE_CREDITS);
    CHECK(control.store_epoch != 0);
    CHECK(control.store_epoch == guest.control(0).store_epoch);
    CHECK(control.queue == i);
    CHECK(control.queues == 3);
    CHECK(control.entries == 32);
    CHECK(control.slots == FakeGuest::kSlots);
    CHECK(load_acquire(control.served) == 1);
  }
  REQUIRE(world.create(guest, 1, TMEM_POOL_PERSISTENT) == Status::kOk);
  for (uint64_t object = 1; object <= 20; ++object)
    CHECK(world.put(guest, 1, object, noise(object)) == Status::kOk);
  for (uint64_t object = 1; object <= 20; ++object)
    CHECK(world.get_is(guest, 1, object, noise(object)));
  CHECK(world.host.mapped() == 6);  // each queue, and its control page once more
  CHECK(world.host.bound() == 3);
  CHECK(guest.error().empty());
  const std::vector<GuestInfo> infos = world.guests->infos();
  REQUIRE(infos.size() == 1);
  CHECK(infos[0].state == "connected");
  CHECK(infos[0].queues == 3);
  CHECK(infos[0].totals.requests == 41);
  CHECK(world.store.store->all_client_stats()[0].identity.uuid == guest.uuid());
  CHECK(world.store.store->all_client_stats()[0].identity.name == "web");
}

struct BadKey {
  const char* key;
  const char* value;  // null: missing
};

TEST_CASE("xen: each wrong key is an error in xenstore; all is freed and the next attempt works") {
  const BadKey bad = GENERATE(
      BadKey{"version", nullptr}, BadKey{"version", "2"}, BadKey{"version", "1x"},
      BadKey{"version", ""}, BadKey{"num-queues", nullptr}, BadKey{"num-queues", "0"},
      BadKey{"num-queues", "5"}, BadKey{"num-queues", "-1"}, BadKey{"num-queues", "4294967298"},
      BadKey{"ring-order", "0"}, BadKey{"ring-order", "5"}, BadKey{"ring-order", "\x01\xff"},
      BadKey{"num-slots", "7"}, BadKey{"num-slots", "1025"}, BadKey{"num-slots", "8 "},
      BadKey{"feature-credits", "2"}, BadKey{"feature-credits", "yes"},
      BadKey{"queue-0/ring-ref-0", nullptr}, BadKey{"queue-1/ring-ref-1", "4294967296"},
      BadKey{"queue-1/ring-ref-1", "99999999999999999999999999"},
      BadKey{"queue-1/slot-directory", nullptr}, BadKey{"queue-0/slot-directory", "0x10"},
      BadKey{"queue-0/event-channel", "0"}, BadKey{"queue-1/event-channel", "131072"},
      BadKey{"queue-1/event-channel", nullptr});
  INFO(bad.key << " = " << (bad.value != nullptr ? bad.value : "(missing)"));
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  world.settle();
  guest.prepare();
  if (bad.value != nullptr)
    guest.set(bad.key, bad.value);
  else
    guest.unset(bad.key);
  guest.go(3);
  world.settle();
  CHECK(guest.backend("state") == "6");
  CHECK(guest.error().starts_with("22 "));
  CHECK(guest.error().find(bad.key) != std::string::npos);
  CHECK(guest.error().find('\x01') == std::string::npos);
  CHECK(world.holds_nothing());
  CHECK(world.world->counters.refused == 1);

  guest.go(6);
  world.settle();
  CHECK(guest.backend("state") == "6");  // for a moment: it failed at once
  world.pass_ms(100);
  CHECK(guest.backend("state") == "2");
  REQUIRE(world.connect(guest));
  CHECK(guest.error().empty());
  CHECK(world.create(guest, 0, 0) == Status::kOk);
}

TEST_CASE("xen: grants that do not map are refused, and nothing of them stays mapped") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  world.settle();
  guest.prepare();
  FakeHost::Memory& memory = world.host.memory(1);
  SECTION("a ring page") {
    memory.grants.erase(guest.ref_of(1, 1));
  }
  SECTION("the control page may not be written") {
    memory.grants[guest.ref_of(0, 0)].writable = false;
  }
  SECTION("a slot may not be written") {
    memory.grants[guest.ref_of(1, 5)].writable = false;
  }
  SECTION("a slot of the directory") {
    guest.directory(1)[3] = 77;
  }
  SECTION("a directory of zeroes") {
    std::memset(guest.directory(0), 0, kPageBytes);
  }
  SECTION("the directory") {
    memory.grants.erase(guest.ref_of(0, 10));
  }
  guest.go(3);
  world.settle();
  CHECK(guest.backend("state") == "6");
  CHECK(guest.error().find("cannot map") != std::string::npos);
  CHECK(world.holds_nothing());
  guest.go(6);
  world.pass_ms(100);
  CHECK(world.connect(guest));
}

TEST_CASE("xen: a directory that may only be read is enough") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  world.settle();
  guest.prepare();
  world.host.memory(1).grants[guest.ref_of(0, 10)].writable = false;
  guest.go(3);
  world.settle();
  CHECK(guest.backend("state") == "4");
}

TEST_CASE("xen: a port that is not free is tried again for five seconds, then refused") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web");
  world.settle();
  guest.prepare();
  world.host.set_busy(1, guest.port(1), true);
  guest.go(3);
  world.settle();
  CHECK(guest.backend("state") == "2");
  CHECK(world.holds_nothing());
  for (int i = 0; i < 40; ++i) world.pass_ms(100);
  CHECK(guest.backend("state") == "2");
  SECTION("it becomes free") {
    world.host.set_busy(1, guest.port(1), false);
    world.pass_ms(50);
    CHECK(guest.backend("state") == "4");
  }
  SECTION("it does not") {
    for (int i = 0; i < 11; ++i) world.pass_ms(100);
    CHECK(guest.backend("state") == "6");
    CHECK(guest.error().find("event channel") != std::string::npos);
    CHECK(world.holds_nothing());
    guest.go(6);
    world.pass_ms(100);
    CHECK(world.connect(guest));
  }
  SECTION("the guest gives up meanwhile") {
    guest.go(6);
    world.settle();
    world.host.set_busy(1, guest.port(1), false);
    world.pass_ms(10'000);
    CHECK(guest.backend("state") == "2");
    CHECK(world.holds_nothing());
  }
}

TEST_CASE("xen: the counters of a new connection begin at 0, whatever its pages hold") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web", 1);
  world.settle();
  guest.prepare();
  tmem_control_page& control = guest.control();
  control.rsp_prod = 7;
  control.closed = 1;
  control.credits_granted = 100'000;
  guest.go(3);
  world.settle();
  REQUIRE(guest.backend("state") == "4");
  CHECK(load_acquire(control.rsp_prod) == 0);
  CHECK(load_acquire(control.closed) == 0);
  CHECK(load_acquire(control.credits_granted) == 0);
}

TEST_CASE("xen: requests that the counters cannot hold are refused at connect") {
  XenWorld world;
  FakeGuest guest(world.host, 1, "web", 1);
  world.settle();
  guest.prepare();
  guest.control().req_prod = 33;
  guest.go(3);
  world.settle();
  CHECK(guest.backend("state") == "6");
  CHECK(world.holds_nothing());
}

TEST_CASE("xen: who may use tmem, and under which name") {
  XenWorld world([](const store::ClientIdentity& who) { return who.name == "web"; });
  const FakeGuest web(world.host, 1, "web--incoming");
  const FakeGuest other(world.host, 2, "other");
  world.settle();
  CHECK(web.backend("state") == "2");
  CHECK_FALSE(world.host.exists_below(backend_folder(DomId{2})));
  CHECK(world.guests->infos().size() == 1);
  CHECK(world.guests->infos()[0].name == "web");
}

TEST_CASE("xen: a domain that has no name yet is looked at again") {
  XenWorld world;
  world.host.add_domain(9, store::uuid_of(9));
  world.settle();
  CHECK(world.guests->infos().empty());
  world.host.write("/local/domain/9/name", "late guest\n");
  world.pass_ms(2'000);
  REQUIRE(world.guests->infos().size() == 1);
  CHECK(world.guests->infos()[0].name == "late_guest_");
}

TEST_CASE("xen: two domains of one uuid: the second waits for the first to go") {
  XenWorld world;
  FakeGuest first(world.host, 1, "web");
  REQUIRE(world.connect(first));
  FakeGuest second(world.host, 2, "web--incoming");
  world.host.destroy_domain(2);
  world.host.write("/local/domain/2/name", "web--incoming");
  world.host.add_domain(2, first.uuid());
  world.settle();
  second.prepare();
  second.go(3);
  world.settle();
  CHECK(second.backend("state") == "2");
  world.host.destroy_domain(1);
  world.settle();
  world.pass_ms(500);
  CHECK(second.backend("state") == "4");
}

}  // namespace
}  // namespace tmem::transport::xen
