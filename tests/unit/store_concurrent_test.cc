// SPDX-License-Identifier: GPL-2.0-or-later
// Clients, maintenance and administration at once: every byte that a get returns is right.
#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "tests/unit/busy_guest.h"

namespace tmem::store {
namespace {

// Everything an administrator may do while guests work; also a guest that comes and goes.
std::string administer(Store& store, const std::vector<ClientRef>& clients,
                       const std::atomic<bool>& stop) {
  Worker worker;
  model::Rng rng(9);
  for (uint32_t round = 0; !stop; ++round) {
    const ClientRef& client = clients[rng.below(kThreads)];
    ClientSettings settings = store.settings(*client);
    settings.weight = rng.below(10);
    settings.compress = rng.one_in(2);
    settings.dedup = static_cast<DedupScope>(rng.below(4));
    if (!store.configure(*client, settings)) return "configure was refused";
    (void)store.stats();
    (void)store.all_client_stats();
    (void)store.evict(worker, 64 * kKiB);
    if (round % 4 == 0) (void)store.evict_client(worker, *client);
    if (round % 4 == 1 && !store.set_budget((40 + rng.below(24)) * kMiB))
      return "set_budget was refused";
    const auto visitor = store.add_client({uuid_of(200), DomId{200}, "visitor"}, {});
    if (!visitor) return "the visitor was refused: " + visitor.error().message;
    (void)store.create_pool(**visitor, PoolId{0}, kPersistentPool);
    for (uint32_t i = 0; i < 50; ++i)
      (void)store.put(worker, **visitor, key(0, 1, i), noise(round * 50 + i));
    if (round % 2 == 0) (void)store.destroy_pool(**visitor, PoolId{0});
    store.remove_client(**visitor);
    if (round % 8 == 0)
      if (const auto violation = store.check_invariants()) return *violation;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

}  // namespace

TEST_CASE("four guests, maintenance and administration at once", "[store][concurrent]") {
  World w({.budget_bytes = 64 * kMiB, .lz4_after_ms = 50, .zstd_after_ms = 300});
  std::vector<ClientRef> clients;
  ClientSettings settings;
  settings.guarantee_bytes = 8 * kMiB;
  for (uint32_t i = 0; i < kThreads; ++i) {
    clients.push_back(w.add(static_cast<uint8_t>(i + 1), settings));
    w.store->authorise_shared({uuid_of(99), uuid_of(static_cast<uint8_t>(i + 1))}, true);
    REQUIRE(w.store->create_pool(*clients[i], PoolId{kSharedPoolId}, shared_pool(99)) ==
            Status::kOk);
  }
  std::atomic<bool> stop = false;
  auto maintenance =
      std::async(std::launch::async, [&] { return maintain(*w.store, w.clock, stop); });
  auto administration =
      std::async(std::launch::async, [&] { return administer(*w.store, clients, stop); });
  std::vector<std::future<std::string>> guests;
  for (uint32_t i = 0; i < kThreads; ++i)
    guests.push_back(std::async(std::launch::async,
                                [&, i] { return BusyGuest(*w.store, clients[i], i + 1).run(); }));
  for (auto& guest : guests) CHECK(guest.get() == "");
  stop = true;
  CHECK(maintenance.get() == "");
  CHECK(administration.get() == "");
  CHECK(w.settle());
  CHECK(w.invariants() == "hold");
  for (const ClientRef& client : clients) w.store->remove_client(*client);
  CHECK(w.settle());
  CHECK(w.store->stats().contents == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("pool flush, destroy and create race with the client's other operations",
          "[store][concurrent]") {
  World w({.budget_bytes = 32 * kMiB, .lz4_after_ms = 20, .zstd_after_ms = 100});
  const ClientRef c = w.add(1);
  std::atomic<bool> stop = false;
  auto maintenance =
      std::async(std::launch::async, [&] { return maintain(*w.store, w.clock, stop); });
  const auto work = [&](uint64_t object) {
    Worker worker;
    model::Rng rng(object);
    Page page{};
    for (uint32_t i = 0; i < kOps; ++i) {
      const uint32_t index = rng.below(300);
      const uint64_t owner = object * 1000 + index;
      const Key k = key(i % 2, object, index);
      if (rng.one_in(2)) {
        (void)w.store->put(worker, *c, k, stamped(owner, rng.below(5'000)));
      } else if (w.store->get(worker, *c, k, page) == Status::kOk && !is_stamped(page, owner)) {
        return std::string("wrong bytes");
      }
    }
    return std::string();
  };
  auto one = std::async(std::launch::async, [&] { return work(1); });
  auto two = std::async(std::launch::async, [&] { return work(2); });
  while (one.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    (void)w.store->flush_pool(*c, PoolId{0});
    (void)w.store->destroy_pool(*c, PoolId{1});
    (void)w.store->create_pool(*c, PoolId{1}, kPersistentPool);
    (void)w.store->flush_object(*c, PoolId{1}, {{2, 0, 0}});
  }
  CHECK(one.get() == "");
  CHECK(two.get() == "");
  w.store->remove_client(*c);
  stop = true;
  CHECK(maintenance.get() == "");
  CHECK(w.settle());
  CHECK(w.store->stats().contents == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("credits find their room though another puts all that it may meanwhile",
          "[store][concurrent]") {
  // Where all is promised, records may take some pages more than was reckoned. A look for best
  // effort lets up to 256 puts go on.
  constexpr uint32_t kRefusedMax = 32;
  World w({.budget_bytes = 16 * kMiB});
  ClientSettings settings;
  settings.dedup = DedupScope::kNone;
  const ClientRef a = w.add(1, settings);
  const ClientRef b = w.add(2, settings);
  const Page page = noise(1);
  for (uint32_t i = 0; i < 8'000; ++i)  // tables and hash sets grow to their size
    (void)w.put(i % 2 == 0 ? a : b, key(1, i / 64, i), page);
  for (const ClientRef& client : {a, b})
    REQUIRE(w.store->flush_pool(*client, PoolId{1}) == Status::kOk);
  REQUIRE(w.settle());
  for (uint32_t round = 0; round < kOps / 3'000; ++round) {
    auto greedy = std::async(std::launch::async, [&] {
      Worker worker;
      for (uint32_t i = 0; i < 2'000; ++i) (void)w.store->put(worker, *b, key(1, i / 64, i), page);
    });
    for (uint32_t yields = round % 10; yields > 0; --yields) std::this_thread::yield();
    const uint32_t credits = w.store->reserve_credits(*a, 100'000);
    greedy.get();
    uint32_t refused = 0;
    for (uint32_t i = 0; i < credits; ++i)
      refused +=
          w.store->put(w.worker, *a, key(1, i / 64, i), page, Payment::kCredit) != Status::kOk;
    CHECK(refused <= kRefusedMax);
    for (const ClientRef& client : {a, b})
      REQUIRE(w.store->flush_pool(*client, PoolId{1}) == Status::kOk);
    REQUIRE(w.settle());
  }
  CHECK(w.invariants() == "hold");
}

}  // namespace tmem::store
