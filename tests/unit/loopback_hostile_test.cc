// SPDX-License-Identifier: GPL-2.0-or-later
// Hostile peers of the loopback transport: each is counted and gone, and a good client beside it
// notices nothing.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <cerrno>

#include "tests/model/rng.h"
#include "tests/unit/loopback_world.h"
#include "tmemd/transport/loopback/handshake.h"

extern char** environ;

namespace tmem {
namespace {

using store::noise;
using store::Page;
using transport::CloseReason;

int refusal_of(const tmem_loopback_hello& hello) {
  const auto checked =
      transport::check_hello(std::as_bytes(std::span(&hello, 1)), transport::HandshakeLimits{});
  return checked ? 0 : checked.error().os_errno;
}

TEST_CASE("handshake: each field of the hello is checked") {
  CHECK(refusal_of(good_hello()) == 0);
  const auto spoiled = [](void (*spoil)(tmem_loopback_hello&)) {
    tmem_loopback_hello hello = good_hello();
    spoil(hello);
    return refusal_of(hello);
  };
  CHECK(spoiled([](auto& h) { h.magic = 1; }) == EBADMSG);
  CHECK(spoiled([](auto& h) { h.version_min = 2; }) == EPROTONOSUPPORT);
  CHECK(spoiled([](auto& h) { h.version_max = 0; }) == EPROTONOSUPPORT);
  CHECK(spoiled([](auto& h) { h.queues = TMEM_QUEUES_MAX + 1; }) == EINVAL);
  CHECK(spoiled([](auto& h) { h.queues = UINT32_MAX; }) == EINVAL);
  CHECK(spoiled([](auto& h) { h.ring_order = 0; }) == EINVAL);
  CHECK(spoiled([](auto& h) { h.ring_order = UINT32_MAX; }) == EINVAL);
  CHECK(spoiled([](auto& h) { h.slots = 0; }) == EINVAL);
  CHECK(spoiled([](auto& h) { h.slots = UINT32_MAX; }) == EINVAL);
  CHECK(spoiled([](auto& h) { std::memset(h.uuid, 0, 16); }) == EINVAL);
  CHECK(spoiled([](auto& h) { h.name[0] = '\0'; }) == EINVAL);
  CHECK(spoiled([](auto& h) { h.name[1] = '\n'; }) == EINVAL);
  CHECK(spoiled([](auto& h) { h.name[1] = '\x80'; }) == EINVAL);
  CHECK(spoiled([](auto& h) { std::memset(h.name, 'x', sizeof(h.name)); }) == EINVAL);
  // Unknown features are not an error: they are not granted.
  tmem_loopback_hello hello = good_hello();
  hello.features = ~uint64_t{0};
  const auto checked =
      transport::check_hello(std::as_bytes(std::span(&hello, 1)), transport::HandshakeLimits{});
  REQUIRE(checked);
  CHECK(checked->features == TMEM_FEATURE_CREDITS);
  hello.queues = 0;
  const auto defaulted =
      transport::check_hello(std::as_bytes(std::span(&hello, 1)), transport::HandshakeLimits{});
  CHECK(defaulted->queues == transport::HandshakeLimits{}.queues_default);
}

TEST_CASE("hostile: garbage, short, long and repeated hellos") {
  const DaemonWorld world;
  const ClientPtr good = world.connect();
  std::array<std::byte, 4096> garbage;
  garbage.fill(std::byte{0xa5});
  for (const size_t bytes :
       {size_t{1}, sizeof(tmem_loopback_hello) - 1, sizeof(tmem_loopback_hello), garbage.size()}) {
    RawPeer peer(world.socket());
    REQUIRE(peer.send(garbage.data(), bytes));
    const auto welcome = peer.receive();
    REQUIRE(welcome);
    CHECK(welcome->status == EBADMSG);
    CHECK(welcome->reason[0] != '\0');
    CHECK(peer.hung_up());
  }
  RawPeer twice(world.socket());
  twice.shake_hands();
  const tmem_loopback_hello hello = good_hello();
  REQUIRE(twice.send(&hello, sizeof(hello)));
  CHECK(twice.hung_up());
  CHECK(world.counters().protocol_errors == 1);
  CHECK(world.counters().handshakes_refused == 4);
  CHECK(still_served(good.get(), 1));
}

TEST_CASE("hostile: a silent peer holds its place only until the deadline") {
  DaemonWorld world;
  const RawPeer silent(world.socket());
  REQUIRE(eventually([&] { return world.counters().accepted == 1; }));
  world.clock.advance_ms(4'999);
  CHECK(world.counters().handshakes_late == 0);
  world.clock.advance_ms(1);
  CHECK(silent.hung_up());
  CHECK(world.counters().handshakes_late == 1);
}

TEST_CASE("hostile: counters out of range disconnect, and are counted by kind") {
  const DaemonWorld world;
  const ClientPtr good = world.connect();
  {
    RawPeer peer(world.socket());
    peer.shake_hands();
    store_release(peer.control(1).req_prod, 1000u);
    peer.kick(1);
    CHECK(peer.hung_up());
    CHECK(load_acquire(peer.control(1).closed) == 1);
  }
  CHECK(world.misbehaved(CloseReason::kRequestOverflow) == 1);
  {
    RawPeer peer(world.socket());
    peer.shake_hands();
    store_release(peer.control(0).rsp_prod, 77u);
    store_release(peer.control(0).req_prod, 1u);
    peer.kick(0);
    CHECK(peer.hung_up());
  }
  CHECK(world.misbehaved(CloseReason::kResponseRewound) == 1);
  REQUIRE(world.clients_become(1));
  CHECK(still_served(good.get(), 1));
}

TEST_CASE("hostile: random bytes all over the shared memory") {
  const DaemonWorld world;
  const ClientPtr good = world.connect();
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    INFO(seed);
    RawPeer peer(world.socket());
    peer.shake_hands();
    model::Rng rng(seed);
    // Half of the time the control pages stay plausible, so that the requests themselves are read.
    const bool plausible = seed % 2 == 0;
    const auto memory = peer.memory();
    for (size_t i = 0; i + 8 <= memory.size(); i += 8) {
      const uint64_t word = rng.next();
      if (!plausible || i % peer.layout().bytes >= kPageBytes)
        std::memcpy(memory.data() + i, &word, 8);
    }
    for (uint32_t queue = 0; queue < 2; ++queue) {
      if (plausible) store_release(peer.control(queue).req_prod, peer.layout().entries);
      peer.kick(queue);
    }
    if (plausible)
      CHECK(eventually([&] {
        return load_acquire(peer.control(0).rsp_prod) == peer.layout().entries &&
               load_acquire(peer.control(1).rsp_prod) == peer.layout().entries;
      }));
    else
      CHECK(peer.hung_up());
    REQUIRE(still_served(good.get(), seed));
  }
  const auto counters = world.counters();
  CHECK(counters.misbehaved[static_cast<size_t>(CloseReason::kRequestOverflow)] > 0);
  // 15 peers, two rings of 32; the overflowing ones ran nothing.
  CHECK(counters.totals.statuses[TMEM_BAD_REQUEST] == 15 * 2 * 32);
  CHECK(world.daemon->store().check_invariants().value_or("hold") == "hold");
}

TEST_CASE("hostile: bad requests are answered, too many disconnect") {
  const DaemonWorld world;
  RawPeer peer(world.socket());
  peer.shake_hands();
  // The memory is all zeroes: op 0 is unknown. 65 of them, more than the ring holds at once.
  uint32_t posted = 0;
  while (load_acquire(peer.control(0).closed) == 0 && posted < 1000) {
    store_release(peer.control(0).req_prod, ++posted);
    peer.kick(0);
    REQUIRE(eventually([&] {
      return load_acquire(peer.control(0).rsp_prod) == posted ||
             load_acquire(peer.control(0).closed) != 0;
    }));
  }
  CHECK(peer.hung_up());
  CHECK(world.misbehaved(CloseReason::kTooManyBad) == 1);
  CHECK(world.counters().totals.statuses[TMEM_BAD_REQUEST] == 65);
}

TEST_CASE("hostile: games with the descriptors block nobody") {
  const DaemonWorld world;
  const ClientPtr good = world.connect();
  RawPeer peer(world.socket());
  peer.shake_hands();
  for (uint32_t queue = 0; queue < 2; ++queue) {
    // Everything to blocking, the doorbell's counter to its maximum.
    REQUIRE(fcntl(peer.doorbell(queue), F_SETFL, 0) == 0);
    REQUIRE(fcntl(peer.wake(queue), F_SETFL, 0) == 0);
    REQUIRE(fcntl(peer.wake(queue), F_SETPIPE_SZ, 4096) == 4096);
    eventfd_t ignored = 0;
    pollfd readable{peer.doorbell(queue), POLLIN, 0};
    if (::poll(&readable, 1, 0) == 1) (void)eventfd_read(peer.doorbell(queue), &ignored);
    REQUIRE(eventfd_write(peer.doorbell(queue), UINT64_MAX - 1) == 0);
  }
  // A wake-up asked for each of 6,000 NOPs, and never read: the pipe fills.
  auto* request =
      reinterpret_cast<tmem_request*>(peer.memory().data() + peer.layout().requests_offset_bytes);
  for (uint32_t i = 0; i < peer.layout().entries; ++i) {
    request[i] = {};
    request[i].op = TMEM_OP_NOP;
    request[i].epoch = peer.control(0).store_epoch;
    request[i].u.page.slot = TMEM_NO_SLOT;
  }
  uint32_t posted = 0;
  uint64_t stuck = 0;
  while (posted < 6'000 && stuck == 0) {
    store_full(peer.control(0).rsp_event, posted);
    store_full(peer.control(0).req_prod, ++posted);
    if (tmem_needs_event(load_full(peer.control(0).req_event), posted, posted - 1) != 0) {
      // Make room for the kick that the full counter would block.
      eventfd_t ignored = 0;
      pollfd readable{peer.doorbell(0), POLLIN, 0};
      if (::poll(&readable, 1, 0) == 1) (void)eventfd_read(peer.doorbell(0), &ignored);
      peer.kick(0);
    }
    if (!eventually([&] { return load_acquire(peer.control(0).rsp_prod) == posted; })) ++stuck;
  }
  CHECK(stuck == 0);
  int unread_bytes = 0;
  REQUIRE(ioctl(peer.wake(0), FIONREAD, &unread_bytes) == 0);
  CHECK(unread_bytes == 4096);
  // It is counted after the answer.
  CHECK(eventually([&] { return world.counters().totals.notifications >= 6'000; }));
  CHECK(still_served(good.get(), 1));
  // Shrinking or growing the memory under the daemon is refused by the seals.
  CHECK(ftruncate(peer.memfd(), 4096) != 0);
  CHECK(ftruncate(peer.memfd(), 1 << 30) != 0);
  CHECK(fcntl(peer.memfd(), F_ADD_SEALS, F_SEAL_WRITE) != 0);
}

TEST_CASE("hostile: a storm of notifications without requests is ended") {
  const DaemonWorld world;
  const ClientPtr good = world.connect();
  RawPeer peer(world.socket());
  peer.shake_hands();
  CHECK(eventually([&] {
    for (int i = 0; i < 1000; ++i) peer.kick(1);
    return load_acquire(peer.control(1).closed) == 1;
  }));
  CHECK(peer.hung_up());
  CHECK(world.misbehaved(CloseReason::kEventStorm) == 1);
  CHECK(still_served(good.get(), 1));
}

TEST_CASE("hostile: a client that is killed amid traffic leaves nothing behind") {
  const DaemonWorld world;
  const ClientPtr good = world.connect();
  for (int round = 0; round < 3; ++round) {
    std::string program = LOOPBACK_CHILD;
    std::string socket = world.socket();
    std::array<char*, 3> argv = {program.data(), socket.data(), nullptr};
    pid_t child = 0;
    REQUIRE(posix_spawn(&child, program.c_str(), nullptr, nullptr, argv.data(), environ) == 0);
    const bool busy = eventually([&] {
      for (const auto& client : world.daemon->store().all_client_stats())
        if (client.identity.name == "child" && client.counters.puts_ok > 500) return true;
      return false;
    });
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    CHECK(busy);
    CHECK(world.clients_become(1));
    CHECK(still_served(good.get(), static_cast<uint64_t>(round)));
  }
  CHECK(world.daemon->may_stop().has_value() == false);  // the good one's pages
}

}  // namespace
}  // namespace tmem
