// SPDX-License-Identifier: GPL-2.0-or-later
// Clients, maintenance and administration at once: every byte that a get returns is right.
#include <atomic>
#include <future>
#include <map>
#include <thread>
#include <vector>

#include "tests/unit/store_world.h"

namespace tmem::store {
namespace {

constexpr uint32_t kThreads = 4;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr uint32_t kOps = 15'000;
#else
constexpr uint32_t kOps = 150'000;
#endif
constexpr uint32_t kKeys = 700;
constexpr uint32_t kSharedPoolId = 8;

// A page that tells what it should be: whose key, which version, and bytes that follow from both.
Page stamped(uint64_t owner, uint64_t version) {
  Page page = version % 3 == 0 ? noise(owner * 1'000'003 + version)
                               : (version % 3 == 1 ? text(version % 50) : same_filled(version % 5));
  if (version % 3 == 2 && owner < 1000) return page;  // same-filled ones carry no stamp
  std::memcpy(page.data(), &owner, 8);
  std::memcpy(page.data() + 8, &version, 8);
  return page;
}

bool is_stamped(const Page& page, uint64_t owner) {
  uint64_t claimed = 0;
  uint64_t version = 0;
  std::memcpy(&claimed, page.data(), 8);
  std::memcpy(&version, page.data() + 8, 8);
  return claimed == owner && page == stamped(owner, version);
}

// One guest: a private ephemeral pool 0, a persistent pool 1, the shared pool.
class Guest {
 public:
  Guest(Store& store, ClientRef client, uint32_t number)
      : store_(store), client_(std::move(client)), rng_(number + 100), number_(number) {}

  // Empty, or what went wrong.
  std::string run() {
    for (uint32_t i = 0; i < kOps && error_.empty(); ++i) {
      const uint32_t what = rng_.below(10);
      if (what < 4)
        persistent();
      else if (what < 7)
        ephemeral();
      else
        shared();
    }
    return error_;
  }

 private:
  void expect(bool right, const char* what) {
    if (!right && error_.empty())
      error_ = std::string(what) + " of guest " + std::to_string(number_);
  }

  void persistent() {
    const uint32_t i = rng_.below(kKeys);
    const Key k = key(1, i / 50, i);
    const auto held = versions_.find(i);
    const uint32_t what = rng_.below(20);
    if (what < 8) {
      const uint64_t version = rng_.below(5'000);
      expect(store_.put(worker_, *client_, k, stamped(number_, version)) == Status::kOk,
             "persistent put");
      versions_[i] = version;
    } else if (what < 18) {
      const Status status = store_.get(worker_, *client_, k, page_);
      expect(status == (held == versions_.end() ? Status::kMiss : Status::kOk), "persistent get");
      if (status == Status::kOk && held != versions_.end())
        expect(page_ == stamped(number_, held->second), "persistent bytes");
    } else if (what == 18) {
      const Status status = store_.flush_page(worker_, *client_, k);
      expect(status == (held == versions_.end() ? Status::kMiss : Status::kOk), "persistent flush");
      versions_.erase(i);
    } else {
      (void)store_.flush_object(*client_, k.pool, k.object);
      versions_.erase(versions_.lower_bound(i / 50 * 50), versions_.lower_bound(i / 50 * 50 + 50));
    }
  }

  void ephemeral() {
    const uint32_t i = rng_.below(kKeys);
    const Key k = key(0, i, i);
    const uint64_t owner = 1000 + number_ * kKeys + i;
    if (rng_.one_in(3)) {
      const Status status = store_.get(worker_, *client_, k, page_);
      expect(status == Status::kOk || status == Status::kMiss, "ephemeral get");
      if (status == Status::kOk) expect(is_stamped(page_, owner), "ephemeral bytes");
    } else {
      const Status status = store_.put(worker_, *client_, k, stamped(owner, rng_.below(5'000)));
      expect(status == Status::kOk || status == Status::kNoSpace, "ephemeral put");
    }
  }

  void shared() {
    const uint32_t i = rng_.below(kKeys);
    const Key k = key(kSharedPoolId, i / 7, i);
    const uint64_t owner = 1'000'000 + i;
    const uint32_t what = rng_.below(20);
    if (what < 10) {
      const Status status = store_.get(worker_, *client_, k, page_);
      expect(status == Status::kOk || status == Status::kMiss, "shared get");
      if (status == Status::kOk) expect(is_stamped(page_, owner), "shared bytes");
    } else if (what < 19) {
      const Status status = store_.put(worker_, *client_, k, stamped(owner, rng_.below(5'000)));
      expect(status == Status::kOk || status == Status::kNoSpace, "shared put");
    } else {
      (void)store_.flush_page(worker_, *client_, k);
    }
  }

  Store& store_;
  const ClientRef client_;
  Worker worker_;
  model::Rng rng_;
  const uint32_t number_;
  Page page_{};
  std::map<uint32_t, uint64_t> versions_;
  std::string error_;
};

std::string maintain(Store& store, ManualClock& clock, const std::atomic<bool>& stop) {
  Worker worker;
  while (!stop) {
    clock.advance_ms(3);
    if (!store.maintain(worker, 8)) std::this_thread::yield();
  }
  return {};
}

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
                                [&, i] { return Guest(*w.store, clients[i], i + 1).run(); }));
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

}  // namespace tmem::store
