// SPDX-License-Identifier: GPL-2.0-or-later
// Slots come and go while clients work: every get is right, no guaranteed put is refused, nobody
// touches a slot that went back (tests/model/whole_slots.h).
#include <future>
#include <vector>

#include "tests/unit/busy_guest.h"
#include "tests/unit/shrink_world.h"

namespace tmem::store {
namespace {

// Moves the arena limit and follows it, as the owner of the slots does.
std::string follow_limit(Store& store, uint64_t seed, const std::atomic<bool>& stop) {
  Worker worker;
  model::Rng rng(seed);
  while (!stop) {
    const uint64_t limit_bytes = rng.below(64) * kMiB;
    store.set_arena_limit(limit_bytes);
    ShrinkState state = ShrinkState::kMore;
    for (uint32_t i = rng.below(400); i > 0 && state == ShrinkState::kMore && !stop; --i)
      state = store.shrink(worker, 1 + rng.below(128));
    (void)store.stats();
    if (rng.one_in(16))
      if (const auto violation = store.check_invariants()) return *violation;
    std::this_thread::yield();
  }
  return {};
}

}  // namespace

TEST_CASE("four guests, maintenance, and two threads that shrink", "[store][concurrent]") {
  ShrinkWorld w({.budget_bytes = 64 * kMiB, .lz4_after_ms = 50, .zstd_after_ms = 300});
  std::vector<ClientRef> clients;
  ClientSettings settings;
  settings.guarantee_bytes = 6 * kMiB;
  for (uint32_t i = 0; i < kThreads; ++i) {
    settings.dedup = i % 2 == 0 ? DedupScope::kHost : DedupScope::kClient;
    clients.push_back(w.add(static_cast<uint8_t>(i + 1), settings));
    w.store->authorise_shared({uuid_of(99), uuid_of(static_cast<uint8_t>(i + 1))}, true);
    REQUIRE(w.store->create_pool(*clients[i], PoolId{kSharedPoolId}, shared_pool(99)) ==
            Status::kOk);
  }
  std::atomic<bool> stop = false;
  std::vector<std::future<std::string>> background;
  background.push_back(
      std::async(std::launch::async, [&] { return maintain(*w.store, w.clock, stop); }));
  for (const uint64_t seed : {1, 2})
    background.push_back(
        std::async(std::launch::async, [&, seed] { return follow_limit(*w.store, seed, stop); }));
  std::vector<std::unique_ptr<BusyGuest>> guests;
  for (uint32_t i = 0; i < kThreads; ++i)
    guests.push_back(std::make_unique<BusyGuest>(*w.store, clients[i], i + 1));
  // Once more where the machine left no time to shrink beside the guests.
  for (int round = 0; round < 30 && w.store->stats().released_slots == 0; ++round) {
    std::vector<std::future<std::string>> runs;
    for (const auto& guest : guests)
      runs.push_back(std::async(std::launch::async, [&guest] { return guest->run(); }));
    for (auto& run : runs) CHECK(run.get() == "");
  }
  stop = true;
  for (auto& thread : background) CHECK(thread.get() == "");
  CHECK(w.settle());
  CHECK(w.invariants() == "hold");
  CHECK(w.store->stats().released_slots > 0);
  CHECK(w.arena_bytes() == w.slots.resident_bytes());
  for (const ClientRef& client : clients) w.store->remove_client(*client);
  CHECK(w.settle());
  CHECK(w.store->stats().contents == 0);
  CHECK(w.shrink_to(0) == ShrinkState::kDone);
  CHECK(w.slots.resident_bytes() == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a trim and a shrink at once leave a guarantee its slots", "[store][concurrent]") {
  ShrinkWorld w({.budget_bytes = 64 * kMiB});
  const ClientRef a = w.add(1, guaranteed(8 * kMiB));
  REQUIRE(w.settle());
  REQUIRE(w.shrink_to(0) == ShrinkState::kStuck);
  const uint64_t promised_bytes = w.arena_bytes();
  for (int round = 0; round < 100; ++round) {
    w.store->set_arena_limit(64 * kMiB);
    w.store->release_credits(*a, w.store->reserve_credits(*a, 4'000));  // holds more slots
    REQUIRE(w.arena_bytes() > promised_bytes);
    w.clock.advance_ms(20'000);
    w.store->set_arena_limit(0);
    std::atomic<int> ready = 0;
    const auto wait = [&ready] {
      for (++ready; ready < 2;) std::this_thread::yield();
    };
    auto trim = std::async(std::launch::async, [&] {
      Worker worker;
      wait();
      (void)w.store->maintain(worker, 1);
    });
    wait();
    CHECK(w.shrink_to(0) == ShrinkState::kStuck);
    trim.get();
    REQUIRE(w.arena_bytes() >= promised_bytes);
  }
}

}  // namespace tmem::store
