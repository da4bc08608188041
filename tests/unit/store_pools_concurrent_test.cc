// SPDX-License-Identifier: GPL-2.0-or-later
// Pools that are flushed, made and destroyed without pause keep nobody else from work.
#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "tests/unit/busy_guest.h"

namespace tmem::store {
namespace {

template <class Work>
double ms_of(Work work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  const auto took = std::chrono::steady_clock::now() - start;
  return std::chrono::duration<double, std::milli>(took).count();
}

// A guest that joins the shared pool and leaves it, often as its only member; it reconnects now and
// then. Empty, or what went wrong.
std::string join_and_leave(Store& store, uint8_t number, uint32_t rounds) {
  constexpr uint32_t kRoundsConnected = 16;
  Worker worker;
  ClientRef client;
  for (uint32_t round = 0; round < rounds; ++round) {
    if (round % kRoundsConnected == 0) {
      if (client != nullptr) store.remove_client(*client);
      (void)store.maintain(worker, 64);  // so that clients' numbers are free again
      const auto added = store.add_client({uuid_of(number), DomId{number}, "guest"}, {});
      if (!added) return added.error().message;
      client = *added;
    }
    if (store.create_pool(*client, PoolId{8}, shared_pool(9)) != Status::kOk) return "create";
    for (uint32_t i = 0; i < 4; ++i)
      if (store.put(worker, *client, key(8, i, round), text(i)) != Status::kOk) return "put";
    if (store.flush_page(worker, *client, key(8, 0, round)) == Status::kNoSuchPool) return "flush";
    if (round % kRoundsConnected == kRoundsConnected - 1) continue;  // leaves by disconnecting
    if (store.destroy_pool(*client, PoolId{8}) != Status::kOk) return "destroy";
  }
  store.remove_client(*client);
  return {};
}

}  // namespace

TEST_CASE("a million flushes of an empty pool leave next to no work", "[store][concurrent]") {
  World w;
  const ClientRef c = w.add(1);
  const double flushes_ms = ms_of([&] {
    for (int i = 0; i < 1'000'000; ++i) (void)w.store->flush_pool(*c, PoolId{1});
  });
  const double reclaim_ms = ms_of([&] { (void)w.store->maintain(w.worker, 1); });
  CHECK(reclaim_ms < flushes_ms / 4);
  REQUIRE(w.put(c, key(1, 1, 1), noise(1)) == Status::kOk);
  REQUIRE(w.store->flush_pool(*c, PoolId{1}) == Status::kOk);
  CHECK(w.settle());
  CHECK(w.pages(c, Kind::kPersistent) == 0);
}

TEST_CASE("a guest that flushes without pause keeps neither maintain nor a put from returning",
          "[store][concurrent]") {
  constexpr uint32_t kFlushesMax = 10'000'000;
  World w({.budget_bytes = 16 * kMiB});
  const ClientRef hostile = w.add(1);
  const ClientRef other = w.add(2);
  for (uint32_t i = 0; i < 4'000; ++i) (void)w.put(other, key(0, i / 64, i), noise(i));
  std::atomic<bool> stop = false;
  std::atomic<uint32_t> count = 0;
  auto flushes = std::async(std::launch::async, [&] {
    for (; !stop && count < kFlushesMax; ++count)
      (void)w.store->flush_pool(*hostile, PoolId{count % 2});
  });
  while (count < 100'000) std::this_thread::yield();
  for (uint32_t i = 0; i < 300; ++i) {
    (void)w.store->maintain(w.worker, 1);
    CHECK(w.put(other, key(0, 100 + i / 64, i), noise(10'000 + i)) == Status::kOk);
  }
  stop = true;
  flushes.get();
  CHECK(count < kFlushesMax);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a guest joins a shared pool while its last member leaves", "[store][concurrent]") {
  World w;
  for (const uint8_t number : {uint8_t{1}, uint8_t{2}})
    w.store->authorise_shared({uuid_of(9), uuid_of(number)}, true);
  std::atomic<bool> stop = false;
  auto background =
      std::async(std::launch::async, [&] { return maintain(*w.store, w.clock, stop); });
  std::vector<std::future<std::string>> guests;
  for (const uint8_t number : {uint8_t{1}, uint8_t{2}})
    guests.push_back(std::async(
        std::launch::async, [&w, number] { return join_and_leave(*w.store, number, kOps / 50); }));
  for (auto& guest : guests) CHECK(guest.get() == "");
  stop = true;
  CHECK(background.get() == "");
  CHECK(w.settle());
  CHECK(w.store->stats().clients == 0);
  CHECK(w.store->stats().contents == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("an administrator removes a shared pool while guests join and leave",
          "[store][concurrent]") {
  World w;
  const ClientRef a = w.add(1);
  w.store->authorise_shared({uuid_of(9), uuid_of(1)}, true);
  std::atomic<bool> stop = false;
  auto administrator = std::async(std::launch::async, [&] {
    Worker worker;
    while (!stop) {
      for (const ClientStats& stats : w.store->all_client_stats())
        if (const ClientRef c = w.store->find_client(stats.number); c && stats.is_shared_pool)
          w.store->remove_client(*c);
      (void)w.store->maintain(worker, 8);
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  uint32_t created = 0;
  for (uint32_t i = 0; i < 2'000 && created < 50; ++i) {
    if (w.store->create_pool(*a, PoolId{8}, shared_pool(9)) != Status::kOk) continue;
    ++created;
    const Status status = w.put(a, key(8, i, i), text(i));
    CHECK((status == Status::kOk || status == Status::kNoSuchPool));
    CHECK(w.store->destroy_pool(*a, PoolId{8}) == Status::kOk);
  }
  stop = true;
  administrator.get();
  CHECK(created > 0);
  CHECK(w.settle());
  CHECK(w.store->stats().clients == 1);
  CHECK(w.store->stats().contents == 0);
  CHECK(w.invariants() == "hold");
}

}  // namespace tmem::store
