// SPDX-License-Identifier: GPL-2.0-or-later
// What gives memory back delays nobody: a client's operations while another's million pages are
// freed, and while slots go back to their owner. Nor does a large object its own.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <numeric>
#include <thread>
#include <vector>

#include "tests/unit/shrink_world.h"

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

// ---- Slots go back ----

constexpr uint64_t kGivenBytes = 64 * kMiB;
constexpr uint32_t kBatchOps = 32;
constexpr uint32_t kOwnPages = 4096;  // of the client that puts and gets

Key own_key(uint32_t page) {
  return key(page % 2, page / 64, page);
}

// A client's pages, and so many of another's that 216 MiB are used. The pool has made room ahead:
// in one just filled, puts would compress whole segments to make some.
void fill(ShrinkWorld& w, const ClientRef& client, const std::vector<Page>& pages) {
  const ClientRef other = w.add(2);
  for (uint32_t i = 0; w.arena_bytes() < 216 * kMiB; ++i) {
    Page page = pages[i % kContents];
    std::memcpy(page.data(), &i, sizeof i);
    (void)w.put(other, key(0, i / 1024, i), page);
    if (i % 1024 == 0) (void)w.store->maintain(w.worker, 1024);
  }
  for (uint32_t page = 0; page < kOwnPages; ++page) {
    (void)w.put(client, own_key(page), pages[page]);
    if (page % 1024 == 0) (void)w.store->maintain(w.worker, 1024);
  }
  CHECK(w.settle());
  REQUIRE(w.arena_bytes() > 3 * kGivenBytes);
  w.store->set_arena_limit(w.arena_bytes());
  CHECK(w.settle());
}

// How often this thread went to sleep: for a lock, as the operations wait for nothing else.
long sleeps() {
  rusage usage{};
  REQUIRE(getrusage(RUSAGE_THREAD, &usage) == 0);
  return usage.ru_nvcsw;
}

struct Batches {
  std::vector<double> us;  // wall time of each
  double slept_us = 0;     // of those that slept in it
};

// Batches of puts and gets, ephemeral and persistent, until `done`.
Batches run_batches(World& w, const ClientRef& client, const std::vector<Page>& pages,
                    const std::atomic<bool>& done) {
  using Time = std::chrono::steady_clock;
  Batches batches;
  for (uint32_t batch = 0; !done; ++batch) {
    const long sleeps_before = sleeps();
    const auto start = Time::now();
    for (uint32_t i = 0; i < kBatchOps; ++i) {
      const uint32_t page = (batch * kBatchOps + i) / 2 * 7919 % kOwnPages;
      if (i % 2 == 0)
        (void)w.put(client, own_key(page), pages[page]);
      else
        (void)w.get(client, own_key((page + kOwnPages / 2) % kOwnPages));
    }
    const double us = std::chrono::duration<double, std::micro>(Time::now() - start).count();
    if (sleeps() != sleeps_before) batches.slept_us += us;
    batches.us.push_back(us);
  }
  return batches;
}

struct Stall {
  double slept_share = 0;  // of the batches' time, by those that slept
  double median_us = 0;
  double longest_us = 0;
  double shrink_ms = 0;
};

Stall give_back(const std::vector<Page>& pages) {
  ShrinkWorld w({.budget_bytes = 256 * kMiB});
  const ClientRef client = w.add(1);
  fill(w, client, pages);
  const uint64_t before = w.arena_bytes();
  std::atomic<bool> done = false;
  double shrink_ms = 0;
  auto shrinking = std::async(std::launch::async, [&] {
    Worker worker;
    const auto start = std::chrono::steady_clock::now();
    w.store->set_arena_limit(before - kGivenBytes);
    while (w.store->shrink(worker, 64) == ShrinkState::kMore) (void)w.store->maintain(worker, 16);
    const auto took = std::chrono::steady_clock::now() - start;
    shrink_ms = std::chrono::duration<double, std::milli>(took).count();
    done = true;
  });
  Batches batches = run_batches(w, client, pages, done);
  shrinking.get();
  REQUIRE(w.arena_bytes() <= before - kGivenBytes);
  std::vector<double>& us = batches.us;
  if (us.size() < 100) return {1, us.empty() ? 0 : us.front(), 0, shrink_ms};  // starved
  std::ranges::sort(us);
  const double total_us = std::accumulate(us.begin(), us.end(), 0.0);
  return {batches.slept_us / total_us, us[us.size() / 2], us.back(), shrink_ms};
}

// ---- A large object ----

// One page in each leaf of an object.
double flush_ms(bool oldest_first) {
  constexpr uint32_t kLeaves = 100'000;
  constexpr uint32_t kStride = 64;
  World w;
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < kLeaves; ++i)
    REQUIRE(w.put(c, key(0, 1, i * kStride), same_filled(1)) == Status::kOk);
  const auto start = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < kLeaves; ++i)
    (void)w.flush(c, key(0, 1, (oldest_first ? i : kLeaves - 1 - i) * kStride));
  const auto took = std::chrono::steady_clock::now() - start;
  CHECK(w.pages(c, Kind::kEphemeral) == 0);
  return std::chrono::duration<double, std::milli>(took).count();
}

}  // namespace

TEST_CASE("a large object's pages are flushed as fast in any order", "[store][latency]") {
  double best = 1e9;
  for (int i = 0; i < 4 && best > 5; ++i) best = std::min(best, flush_ms(true) / flush_ms(false));
  CHECK(best <= 5);
}

// A provider may take its time to clear a slot. Here it waits for puts that need blocks, and gets.
TEST_CASE("a slot on its way to its owner is waited for by no operation", "[store][latency]") {
  constexpr uint32_t kNewPages = 64;
  constexpr auto kPatience = std::chrono::seconds(60);
  std::vector<Page> pages;
  for (uint32_t i = 0; i < kContents; ++i) pages.push_back(noise(i));
  ShrinkWorld w({.budget_bytes = 256 * kMiB});
  const ClientRef client = w.add(1);
  fill(w, client, pages);
  std::atomic<uint32_t> next = kOwnPages;
  std::atomic<uint32_t> done = 0;
  std::vector<std::future<void>> operating;
  bool waited_for = false;
  w.slots.set_on_release([&] {
    if (waited_for) return;
    operating.push_back(std::async(std::launch::async, [&] {
      Worker worker;
      Page read;
      for (uint32_t i = 0; i < kNewPages; ++i) {
        const uint32_t page = next++;
        Page content = pages[page % kContents];
        std::memcpy(content.data(), &page, sizeof page);
        const bool put = w.store->put(worker, *client, own_key(page), content) == Status::kOk;
        const bool got = w.store->get(worker, *client, own_key(page), read) == Status::kOk;
        if (put && got && read == content) ++done;
      }
    }));
    waited_for = operating.back().wait_for(kPatience) != std::future_status::ready;
  });
  CHECK(w.shrink_to(w.arena_bytes() - 8 * kSlot) == ShrinkState::kDone);
  for (auto& operations : operating) operations.get();
  CHECK_FALSE(waited_for);
  CHECK(operating.size() >= 8);
  CHECK(done == operating.size() * kNewPages);
  CHECK(w.invariants() == "hold");
}

// Times are printed only: other processes, and other machines on the same CPUs, stop a thread for
// longer than any lock is held. What they also do, now and then, is to stop one that holds a lock.
TEST_CASE("while 64 MiB are given back, puts and gets hardly sleep for a lock",
          "[store][latency]") {
  constexpr double kSleptMax = 0.15;  // with one lock around each step of shrink 0.25 to 0.88
  std::vector<Page> pages;
  for (uint32_t i = 0; i < kContents; ++i) pages.push_back(i % 2 == 0 ? noise(i) : text(i));
  double least = 1;
  for (int i = 0; i < 8 && least > kSleptMax; ++i) {
    const Stall stall = give_back(pages);
    least = std::min(least, stall.slept_share);
    WARN("batches that slept for a lock: "
         << 100 * stall.slept_share << " % of the time; 32 operations: median " << stall.median_us
         << " us, longest " << stall.longest_us << " us; 64 MiB given back in " << stall.shrink_ms
         << " ms");
  }
  CHECK(least <= kSleptMax);
}

// Other processes can only add to the time, so one good attempt shows what the store does.
TEST_CASE("destroying a client with a million pages delays no other by a millisecond",
          "[store][latency]") {
  std::vector<Page> pages;
  for (uint32_t i = 0; i < kContents; ++i) pages.push_back(noise(i));
  double best_us = 1e9;
  for (int i = 0; i < 8 && best_us > 1'000; ++i) {
    const Attempt result = attempt(pages);
    best_us = std::min(best_us, result.death_us - result.quiet_us);
    WARN("p99.9 of put and get: " << result.quiet_us << " us before, " << result.death_us
                                  << " us while the pages are freed");
  }
  CHECK(best_us <= 1'000);
}

}  // namespace tmem::store
