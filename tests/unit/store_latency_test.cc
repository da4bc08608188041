// SPDX-License-Identifier: GPL-2.0-or-later
// The end of a client with a million pages delays nobody: the time of another client's operations
// while its pages are being freed.
#include <algorithm>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "tests/unit/store_world.h"

namespace tmem::store {
namespace {

constexpr uint32_t kDeadPages = 1'000'000;
constexpr uint32_t kContents = 16'000;

// Wall time of `ops` puts and gets, the p99.9 in microseconds.
double p999_us(World& w, const ClientRef& client, const std::vector<Page>& pages, uint32_t ops,
               uint32_t first) {
  using Time = std::chrono::steady_clock;
  std::vector<double> us;
  us.reserve(ops);
  for (uint32_t i = 0; i < ops; ++i) {
    const uint32_t page = (first + i) % 4096;
    const auto start = Time::now();
    if (i % 2 == 0)
      (void)w.put(client, key(1, page / 64, page), pages[page % pages.size()]);
    else
      (void)w.get(client, key(1, page / 64, page));
    us.push_back(std::chrono::duration<double, std::micro>(Time::now() - start).count());
  }
  const auto at = us.begin() + static_cast<std::ptrdiff_t>(us.size() * 999 / 1000);
  std::ranges::nth_element(us, at);
  return *at;
}

struct Attempt {
  double quiet_us = 0;
  double death_us = 0;
};

Attempt attempt(const std::vector<Page>& pages) {
  World w({.budget_bytes = 512 * kMiB});
  const ClientRef dying = w.add(1);
  const ClientRef other = w.add(2);
  for (uint32_t i = 0; i < kDeadPages; ++i)
    REQUIRE(w.put(dying, key(i % 2, i / 1024, i), pages[i % kContents]) == Status::kOk);
  REQUIRE(w.pages(dying, Kind::kEphemeral) + w.pages(dying, Kind::kPersistent) == kDeadPages);
  Attempt result;
  result.quiet_us = p999_us(w, other, pages, 20'000, 0);
  std::atomic<bool> stop = false;
  auto maintenance = std::async(std::launch::async, [&] {
    Worker worker;
    w.store->remove_client(*dying);
    while (!stop)
      if (!w.store->maintain(worker, 16)) std::this_thread::yield();
  });
  result.death_us = p999_us(w, other, pages, 100'000, 7);
  stop = true;
  maintenance.get();
  CHECK(w.settle());
  CHECK(w.invariants() == "hold");
  return result;
}

}  // namespace

// Other processes can only add to the time, so one good attempt shows what the store does.
TEST_CASE("destroying a client with a million pages delays no other by a millisecond",
          "[store][latency]") {
  std::vector<Page> pages;
  for (uint32_t i = 0; i < kContents; ++i) pages.push_back(noise(i));
  double best_us = 1e9;
  for (int i = 0; i < 4 && best_us > 1'000; ++i) {
    const Attempt result = attempt(pages);
    best_us = std::min(best_us, result.death_us - result.quiet_us);
    WARN("p99.9 of put and get: " << result.quiet_us << " us before, " << result.death_us
                                  << " us while the pages are freed");
  }
  CHECK(best_us <= 1'000);
}

}  // namespace tmem::store
