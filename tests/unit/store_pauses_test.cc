// SPDX-License-Identifier: GPL-2.0-or-later
// Where background work pauses: after a few pages, and with no lock held.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>

#include "tests/unit/shrink_world.h"

namespace tmem::store {
namespace {

constexpr uint32_t kPages = 2'000;

// Has another thread use the store in each pause, which would wait for ever for a lock, and notes
// what was done since the last one.
class Pauses {
 public:
  Pauses(Store& store, ClientRef other) : store_(store), other_(std::move(other)) {}

  // A worker that pauses here, to be used in one piece of background work.
  Worker worker() {
    contents_ = store_.stats().contents;
    handled_ = handled(store_.stats());
    return Worker([this] { pause(); });
  }
  uint32_t count() const { return count_; }
  uint64_t most_pages() const { return most_pages_; }
  // What the other thread got. Near an arena limit puts may be refused.
  bool right() const { return right_; }

 private:
  static uint64_t handled(const StoreStats& stats) {
    return stats.compressed_pages + stats.recompressed_pages + stats.incompressible_pages +
           stats.cleaned_pages;
  }

  void pause() {
    auto used = std::async(std::launch::async, [this] { use(); });
    if (used.wait_for(std::chrono::seconds(60)) == std::future_status::timeout) {
      std::fputs("a pause with a lock held\n", stderr);
      std::abort();  // a test that fails would wait for the thread
    }
    used.get();
    ++count_;
  }

  void use() {
    const StoreStats stats = store_.stats();
    const uint64_t freed = contents_ - std::min(contents_, stats.contents);
    most_pages_ = std::max({most_pages_, handled(stats) - handled_, freed});
    if (count_ % 8 == 0) touch_all_shards();
    contents_ = store_.stats().contents;
    handled_ = handled(store_.stats());
  }

  void touch_all_shards() {
    Worker worker;
    Page page;
    for (uint32_t i = 0; i < 256; ++i) {
      const Key where = key(1, i, i);
      right_ &= store_.put(worker, *other_, where, noise(1'000'000 + i)) == Status::kOk;
      right_ &= store_.get(worker, *other_, where, page) == Status::kOk;
      right_ &= store_.flush_page(worker, *other_, where) == Status::kOk;
    }
  }

  Store& store_;
  const ClientRef other_;
  uint32_t count_ = 0;
  uint64_t most_pages_ = 0;
  uint64_t contents_ = 0;
  uint64_t handled_ = 0;
  bool right_ = true;
};

void fill(World& w, const ClientRef& c, uint32_t pool) {
  for (uint32_t i = 0; i < kPages; ++i)
    REQUIRE(w.put(c, key(pool, i / 64, i), i % 3 == 0 ? noise(i) : text(i)) == Status::kOk);
}

void settle(World& w, Worker& worker) {
  while (w.store->maintain(worker, 64)) {
  }
}

}  // namespace

TEST_CASE("compression pauses after a few pages", "[store][pauses]") {
  World w;
  const ClientRef c = w.add(1);
  Pauses pauses(*w.store, w.add(2));
  fill(w, c, 1);
  w.clock.advance_ms(10'000);
  Worker worker = pauses.worker();
  settle(w, worker);
  CHECK(w.store->stats().compressed_pages > kPages / 2);
  const uint32_t compressing = pauses.count();
  CHECK(compressing > kPages / 8);
  w.clock.advance_ms(100'000);
  settle(w, worker);
  CHECK(w.store->stats().recompressed_pages > kPages / 2);
  CHECK(pauses.count() > compressing + kPages / 8);
  CHECK(pauses.most_pages() <= 8);
  CHECK(pauses.right());
}

TEST_CASE("freeing what a flush left pauses after a few pages", "[store][pauses]") {
  World w;
  const ClientRef c = w.add(1);
  Pauses pauses(*w.store, w.add(2));
  fill(w, c, 1);
  REQUIRE(w.store->flush_pool(*c, PoolId{1}) == Status::kOk);
  Worker worker = pauses.worker();
  settle(w, worker);
  CHECK(w.store->stats().contents == 0);
  CHECK(pauses.count() >= kPages / 16);
  CHECK(pauses.most_pages() <= 16);
  CHECK(pauses.right());
}

TEST_CASE("what a removed client left, shared with others, goes with pauses", "[store][pauses]") {
  World w;
  const ClientSettings in_host{.dedup = DedupScope::kHost, .dedup_group = {}};
  const ClientRef c = w.add(1, in_host);
  const ClientRef twin = w.add(3, in_host);
  Pauses pauses(*w.store, w.add(2));
  fill(w, c, 1);
  fill(w, twin, 1);
  w.store->remove_client(*c);
  Worker worker = pauses.worker();
  settle(w, worker);
  CHECK(pauses.count() >= kPages / 16);
  CHECK(pauses.most_pages() <= 16);
  CHECK(pauses.right());
}

TEST_CASE("emptying slots pauses after some dozens of pages", "[store][pauses]") {
  ShrinkWorld w({.budget_bytes = 64 * kMiB});
  const ClientRef c = w.add(1);
  Pauses pauses(*w.store, w.add(2));
  for (uint32_t i = 0; i < 8'000; ++i)
    REQUIRE(w.put(c, key(1, i / 64, i), noise(i)) == Status::kOk);
  for (uint32_t i = 0; i < 8'000; ++i)
    if (i % 4 != 0) REQUIRE(w.flush(c, key(1, i / 64, i)) == Status::kOk);
  Worker worker = pauses.worker();
  w.store->set_arena_limit(16 * kMiB);
  while (w.store->shrink(worker, 64) == ShrinkState::kMore) {
  }
  CHECK(w.store->stats().arena_bytes <= 16 * kMiB);
  CHECK(pauses.count() > 100);
  CHECK(pauses.most_pages() <= 64);
  for (uint32_t i = 0; i < 8'000; i += 4) CHECK(w.get_is(c, key(1, i / 64, i), noise(i)));
}

}  // namespace tmem::store
