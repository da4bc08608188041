// SPDX-License-Identifier: GPL-2.0-or-later
// The keeper on a machine that is not there: what the pool takes, gives back and says.
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "tests/unit/pool_world.h"
#include "tests/unit/store_world.h"
#include "tmemd/fallow/keeper.h"

namespace tmem::fallow {
namespace {

using memory::kSlotBytes;

constexpr size_t kHostSlots = 40;
constexpr uint64_t kHeadRoomBytes = 8 * kSlotBytes;
constexpr uint64_t kSomeHoldMs = 1'000;
constexpr uint64_t kLongHoldMs = 3'600'000;

// A host with a pool and one client; pages are noise, numbered from 0.
class Host {
 public:
  Host() {
    world_.options.bytes_max = kHostSlots * kSlotBytes;
    domain_ = world_.open();
    store::Options options;
    options.budget_bytes = world_.options.bytes_max;
    options.zstd = false;
    store = store::Store::create(options, *domain_, clock, 1).value();
    client = store->add_client({store::uuid_of(1), DomId{1}, "guest"}, {}).value();
    REQUIRE(store->create_pool(*client, PoolId{0}, store::kEphemeralPool) == kOk);
    REQUIRE(store->create_pool(*client, PoolId{1}, store::kPersistentPool) == kOk);
    KeeperOptions of_keeper;
    of_keeper.head_room = {HeadRoom::Kind::kBytes, kHeadRoomBytes};
    of_keeper.log = [this](const std::string& line) {
      const std::lock_guard guard(mutex_);
      log_ += line + '\n';
    };
    of_keeper.on_lost = [this] { ++lost; };
    of_keeper.guests_bytes = [this] { return guests_bytes.load(); };
    keeper = Keeper::start(std::move(of_keeper), {*store, *domain_, xen(), clock}).value();
  }

  memory::xen::FakeXen& xen() { return world_.xen; }
  uint64_t available_bytes() const { return world_.xen.read()->available_bytes(); }
  DomId domain() const { return domain_->domain(); }
  uint64_t held_bytes() const { return store->stats().arena_bytes; }

  store::Status put(PoolId pool, uint64_t number) {
    return store->put(worker, *client, key(pool, number), store::noise(number));
  }
  bool has(PoolId pool, uint64_t number) {
    store::Page page;
    return store->get(worker, *client, key(pool, number), page) == kOk &&
           page == store::noise(number);
  }
  // Puts ephemeral pages until the pool is as large as it may get.
  void fill() {
    for (uint64_t i = 0; i < kHostSlots * kSlotBytes / kPageBytes; ++i)
      (void)put(PoolId{0}, next_++);
  }
  std::string log() const {
    const std::lock_guard guard(mutex_);
    return log_;
  }

  static constexpr store::Status kOk = store::Status::kOk;
  SteadyClock clock;
  std::atomic<int> lost{0};
  std::atomic<uint64_t> guests_bytes{0};

 private:
  static store::Key key(PoolId pool, uint64_t number) {
    return {pool, {{number / 1024, 0, 0}}, static_cast<uint32_t>(number % 1024)};
  }

  memory::xen::PoolWorld world_{kHostSlots};
  std::unique_ptr<memory::xen::PoolDomain> domain_;
  mutable std::mutex mutex_;
  std::string log_;
  uint64_t next_ = 0;

 public:
  std::unique_ptr<store::Store> store;
  store::ClientRef client;
  store::Worker worker;
  std::unique_ptr<Keeper> keeper;
};

template <class Condition>
bool soon(const Condition& condition) {
  for (int i = 0; i < 20'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace

TEST_CASE("keeper: the pool takes what is free but the head-room") {
  Host host;
  // A look beside a growing pool counts a slot twice, and sets that right at the next.
  CHECK(soon([&] {
    host.fill();
    return host.available_bytes() < kHeadRoomBytes + 2 * kSlotBytes;
  }));
  CHECK(host.available_bytes() >= kHeadRoomBytes);
  CHECK(soon([&] { return host.keeper->state().plan.bound == Bound::kHeadRoom; }));
}

TEST_CASE("keeper: memory that is claimed is given back unasked") {
  Host host;
  host.fill();
  const uint64_t held_before = host.held_bytes();
  host.xen().claimed_bytes = 6 * kSlotBytes;
  CHECK(soon([&] { return host.available_bytes() >= kHeadRoomBytes; }));
  // A slot counts as held until its release is over.
  CHECK(soon([&] { return host.held_bytes() <= held_before - 4 * kSlotBytes; }));
  CHECK(host.xen().dirty_returns == 0);
}

TEST_CASE("keeper: room is made, kept for a while, then used again") {
  Host host;
  for (uint64_t i = 0; i < 1000; ++i) REQUIRE(host.put(PoolId{1}, i) == Host::kOk);
  host.fill();
  constexpr uint64_t kWanted = 20 * kSlotBytes;
  REQUIRE(host.keeper->make_room(kWanted, kLongHoldMs));
  const auto is_ready = [&] {
    const auto wish = host.keeper->state().wish;
    return wish && wish->state == WishState::kReady;
  };
  REQUIRE(soon(is_ready));
  CHECK(host.available_bytes() >= kWanted);
  host.fill();
  CHECK(host.available_bytes() >= kWanted);
  // A shorter hold for what is there already: ready at once, and over soon.
  REQUIRE(host.keeper->make_room(kWanted, kSomeHoldMs));
  CHECK(is_ready());
  CHECK(soon([&] { return !host.keeper->state().wish; }));
  CHECK(soon([&] {
    host.fill();
    return host.available_bytes() < kHeadRoomBytes + 2 * kSlotBytes;
  }));
  for (uint64_t i = 0; i < 1000; ++i) REQUIRE(host.has(PoolId{1}, i));
}

TEST_CASE("keeper: a wish ends when it is taken back") {
  Host host;
  host.fill();
  REQUIRE(host.keeper->make_room(20 * kSlotBytes, kLongHoldMs));
  host.keeper->cancel_room();
  CHECK_FALSE(host.keeper->state().wish);
  CHECK(soon([&] {
    host.fill();
    return host.available_bytes() < kHeadRoomBytes + 2 * kSlotBytes;
  }));
}

TEST_CASE("keeper: more than there is is refused, with what there is") {
  Host host;
  host.fill();
  const auto refused = host.keeper->make_room(2 * kHostSlots * kSlotBytes, kSomeHoldMs);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kNoSpace);
  CHECK(refused.error().message.find(" MiB are free and the pool can give back ") !=
        std::string::npos);
  CHECK_FALSE(host.keeper->state().wish);
}

TEST_CASE("keeper: persistent pages stay, and it says that the head-room is not there") {
  Host host;
  uint64_t stored = 0;
  while (host.put(PoolId{1}, stored) == Host::kOk) ++stored;
  REQUIRE(stored > 8000);
  host.xen().claimed_bytes = kHeadRoomBytes;
  CHECK(soon([&] { return host.log().find("persistent pages") != std::string::npos; }));
  for (uint64_t i = 0; i < stored; ++i) REQUIRE(host.has(PoolId{1}, i));
}

TEST_CASE("keeper: room that the pool has not got is made by the guests, if they are asked") {
  Host host;
  uint64_t stored = 0;
  while (host.put(PoolId{1}, stored) == Host::kOk) ++stored;
  const uint64_t wanted = host.available_bytes() + 4 * kSlotBytes;
  REQUIRE_FALSE(host.keeper->make_room(wanted, kLongHoldMs));
  host.guests_bytes = 8 * kSlotBytes;
  REQUIRE(host.keeper->make_room(wanted, kLongHoldMs));
  CHECK(soon([&] { return host.log().find("persistent pages") != std::string::npos; }));
  CHECK(host.keeper->state().wish->state == WishState::kMaking);
  host.guests_bytes = 0;  // they have nothing more to give
  CHECK(soon([&] {
    const auto wish = host.keeper->state().wish;
    return wish && wish->state == WishState::kImpossible;
  }));
}

TEST_CASE("keeper: a destroyed pool domain is noticed once") {
  Host host;
  host.fill();
  host.xen().destroy(host.domain());
  CHECK(soon([&] { return host.lost != 0; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(1'100));
  CHECK(host.lost == 1);
}

TEST_CASE("keeper: Xen's free memory that grows is found") {
  Host host;
  host.xen().fill_up(12 * kSlotBytes / kPageBytes);
  CHECK(soon([&] { return host.keeper->state().plan.pool_bytes_max <= 4 * kSlotBytes; }));
  host.fill();
  CHECK(host.held_bytes() <= 4 * kSlotBytes);
  host.xen().heal();
  CHECK(soon([&] {
    host.fill();
    return host.held_bytes() > 20 * kSlotBytes;
  }));
}

}  // namespace tmem::fallow
