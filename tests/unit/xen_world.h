// SPDX-License-Identifier: GPL-2.0-or-later
// A fake Xen host, a store, workers and the transport's logic, driven by hand.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/xen_guest.h"
#include "tmemd/transport/xen/guests.h"

namespace tmem::transport::xen {

// Waits for what another thread does, at most half a minute.
inline bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

// No object of this struct moves.
struct XenWorld {
  using Admission = std::function<bool(const store::ClientIdentity&)>;
  explicit XenWorld(Admission admission = [](const store::ClientIdentity&) { return true; })
      : admits(std::move(admission)) {
    auto started = Workers::start({.threads = 2, .may_spin = false, .on_no_space = {}});
    REQUIRE(started);
    workers = *std::move(started);
    start();
  }
  XenWorld(const XenWorld&) = delete;
  XenWorld& operator=(const XenWorld&) = delete;

  // A daemon begins (again): what an earlier one left stands in xenstore and in the guests' pages.
  void start() {
    guests.reset();
    world = std::make_unique<GuestWorld>(
        GuestWorld{options(), platform, *store.store, *workers, store.clock, {}});
    guests = std::make_unique<Guests>(*world);
    REQUIRE(guests->begin());
    settle();
  }
  // tmemd ends in good order.
  void stop() {
    guests->stop();
    guests.reset();
  }
  GuestOptions options() {
    GuestOptions options;
    options.admits = admits;
    options.write_back_kib_s = write_back_kib_s;
    options.settings_for = [](const store::ClientIdentity&) { return store::ClientSettings{}; };
    options.log = options.note = [this](const std::string& line) { log.push_back(line); };
    return options;
  }

  // Handles all that is waiting.
  void settle() {
    for (int i = 0; i < 100; ++i) {
      const bool more = guests->handle();
      if (!more && host.events_waiting() == 0) return;
    }
    FAIL("the transport does not come to rest");
  }
  void pass_ms(uint64_t milliseconds) {
    store.clock.advance_ms(milliseconds);
    settle();
  }
  bool connect(FakeGuest& guest) {
    guest.prepare();
    guest.go(3);
    settle();
    if (guest.backend("state") != "4") return false;
    guest.go(4);
    settle();
    return true;
  }
  // Posts on the key's queue and waits for the answer.
  std::optional<store::Status> call(FakeGuest& guest, const tmem_request& wire) {
    const bool on_queue0 = wire.op == TMEM_OP_POOL_CREATE || wire.op == TMEM_OP_POOL_DESTROY ||
                           wire.op == TMEM_OP_POOL_FLUSH || wire.op == TMEM_OP_NOP;
    const uint32_t queue = on_queue0 ? 0 : guest.queue_of(wire);
    const uint32_t counter = guest.post(wire, queue);
    if (!eventually([&] { return guest.answer(queue, counter).has_value(); })) return std::nullopt;
    return guest.answer(queue, counter);
  }
  std::optional<store::Status> create(FakeGuest& guest, uint32_t pool, uint32_t flags) {
    tmem_request wire{};
    wire.op = TMEM_OP_POOL_CREATE;
    wire.pool = pool;
    wire.u.create.flags = flags;
    return call(guest, wire);
  }
  std::optional<store::Status> put(FakeGuest& guest, uint32_t pool, uint64_t object,
                                   const store::Page& page) {
    const tmem_request wire = FakeGuest::request(TMEM_OP_PUT, pool, object, 0);
    std::memcpy(guest.slot(guest.queue_of(wire), 0), page.data(), kPageBytes);
    return call(guest, wire);
  }
  bool get_is(FakeGuest& guest, uint32_t pool, uint64_t object, const store::Page& page) {
    const tmem_request wire = FakeGuest::request(TMEM_OP_GET, pool, object, 7);
    std::byte* const slot = guest.slot(guest.queue_of(wire), 7);
    std::memset(slot, 0, kPageBytes);
    return call(guest, wire) == store::Status::kOk &&
           std::memcmp(slot, page.data(), kPageBytes) == 0;
  }
  bool holds_nothing() const { return host.mapped() == 0 && host.bound() == 0; }
  size_t clients() const { return store.store->all_client_stats().size(); }
  std::string state_of(const FakeGuest& guest) const { return guest.backend("state"); }

  FakeHost host;
  Platform platform = host.platform();
  store::World store;
  Admission admits;
  uint32_t write_back_kib_s = 0;  // from the next start() on
  std::vector<std::string> log;
  std::unique_ptr<Workers> workers;
  std::unique_ptr<GuestWorld> world;
  std::unique_ptr<Guests> guests;
};

// From wherever it is, a guest that closes properly can connect again.
inline void check_next_attempt(XenWorld& world, FakeGuest& guest) {
  guest.go(6);
  world.settle();
  world.pass_ms(20'000);
  CHECK(guest.backend("state") == "2");
  REQUIRE(world.connect(guest));
  CHECK(world.create(guest, 0, 0) == store::Status::kOk);
}

}  // namespace tmem::transport::xen
