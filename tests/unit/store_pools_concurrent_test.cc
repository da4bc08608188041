// SPDX-License-Identifier: GPL-2.0-or-later
// Pools that are flushed, made and destroyed without pause keep nobody else from work.
#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "tests/unit/store_world.h"

namespace tmem::store {
namespace {

template <class Work>
double ms_of(Work work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  const auto took = std::chrono::steady_clock::now() - start;
  return std::chrono::duration<double, std::milli>(took).count();
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

}  // namespace tmem::store
