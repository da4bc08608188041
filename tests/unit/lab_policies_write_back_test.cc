// SPDX-License-Identifier: GPL-2.0-or-later
// The policy simulation's write-back: what has been in the pool for long goes home, where the pool
// has little room.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/unit/lab_policies_world.h"

namespace tmem::lab::policies {
namespace {

Region never_touched(uint32_t mib) {
  return {Kind::kAnon, mib / 4, 300'000'000, 300'000'000, true, false};
}

// Of guest 0, without agent: nothing but write-back takes its pages out of the pool. A page there
// has 97 % of its size. Guest 1 needs nothing, and has what the test gives it.
constexpr uint64_t kOtherMib = 133;

Scenario one_swaps(std::vector<Region> regions) {
  GuestScript guest = small_guest(std::move(regions));
  guest.has_agent = false;
  GuestScript other = small_guest({});
  other.has_agent = false;
  Scenario scenario = small_scenario({guest, other}, 280);
  scenario.pool_ratio = 1.05;
  return scenario;
}

uint32_t second_of(const SimHost& host) {
  return host.now() * kTickMs / 1000;
}

void run_until(SimHost& host, uint32_t second) {
  while (host.now() < second * 1000 / kTickMs) host.tick();
}

// The other one takes memory until persistent pages have so many 64ths of what the pool may hold.
void fill(SimHost& host, FixedTargets& strategy, uint64_t mib, uint64_t parts = 62) {
  uint64_t other_mib = kOtherMib;
  while (host.pool().persistent_bytes() <= host.pool().limit_bytes() / 64 * parts) {
    strategy.set({mib, ++other_mib});
    run_until(host, second_of(host) + 1);
    REQUIRE(other_mib < 256);
  }
}

// A step a second. What the first one evicts goes to the disk: the pool has no room yet.
void shrink(SimHost& host, FixedTargets& strategy, const std::vector<uint64_t>& steps_mib) {
  for (const uint64_t mib : steps_mib) {
    strategy.set({mib, kOtherMib});
    run_until(host, second_of(host) + 1);
  }
}

}  // namespace

TEST_CASE("write-back: old pages leave a pool that is full of them") {
  const Scenario scenario = one_swaps({hot(Kind::kAnon, 40), never_touched(80)});
  FixedTargets strategy({133, kOtherMib});
  SimHost host(scenario, Constants{}, strategy, true);
  const HostPool& pool = host.pool();
  const auto pooled = [&] { return pool.use(0).persistent_pages; };
  shrink(host, strategy, {110, 90, 75, 60});
  fill(host, strategy, 60);
  const uint64_t before = pooled();
  const uint64_t written_before = host.disk().pages_written();
  REQUIRE(before > mib_pages(40));
  const uint32_t full = second_of(host);
  uint64_t most_in_a_second = 0;
  for (uint32_t second = full + 1; second <= full + 90; ++second) {
    const uint64_t was = host.disk().pages_written();
    run_until(host, second);
    const uint64_t wrote = host.disk().pages_written() - was;
    most_in_a_second = std::max(most_in_a_second, wrote);
  }
  CHECK(most_in_a_second <= mib_pages(8));
  CHECK(most_in_a_second > mib_pages(5));
  CHECK(pool.persistent_bytes() <= pool.limit_bytes() / 16 * 13);
  CHECK(pool.persistent_bytes() > pool.limit_bytes() / 16 * 10);
  // The store cannot tell these reads from others; the guest does not count them as swapped out.
  const uint64_t written = host.disk().pages_written() - written_before;
  CHECK(written > mib_pages(6));
  CHECK(before - pooled() <= written);
  CHECK(pool.use(0).persistent_gets >= written);
  CHECK(host.guest(0).counters().swap_out_pages == pool.use(0).persistent_puts + written_before);
  CHECK(host.guest(0).swapped_pages() >= pooled() + written);
}

TEST_CASE("write-back: at rate 0 they stay, and where there is room") {
  Constants never;
  never.write_back.guest_mib_s = 0;
  for (const bool room : {false, true}) {
    const Scenario scenario = one_swaps({hot(Kind::kAnon, 40), never_touched(80)});
    FixedTargets strategy({133, kOtherMib});
    SimHost host(scenario, room ? Constants{} : never, strategy, true);
    shrink(host, strategy, {110, 90, 75, 60});
    if (!room) fill(host, strategy, 60);
    const uint64_t before = host.pool().use(0).persistent_pages;
    const uint64_t written_before = host.disk().pages_written();
    (void)host.run();
    CHECK(host.disk().pages_written() == written_before);
    CHECK(host.pool().use(0).persistent_pages >= before);
  }
}

TEST_CASE("write-back: what is got and put again stays") {
  const Region now_and_then{Kind::kAnon, 10, 20'000, 20'000, true, false};
  const Scenario scenario = one_swaps({hot(Kind::kAnon, 20), now_and_then, never_touched(60)});
  FixedTargets strategy({133, kOtherMib});
  SimHost host(scenario, Constants{}, strategy, true);
  shrink(host, strategy, {110, 90, 75, 60});
  fill(host, strategy, 60, 57);           // so that the pool has room for what comes and goes
  run_until(host, second_of(host) + 25);  // what went to the disk at first has been read
  const uint64_t written = host.disk().pages_written();
  const uint64_t read = host.guest(0).counters().disk_read_pages;
  const uint64_t gets = host.pool().use(0).persistent_gets;
  (void)host.run();
  CHECK(host.disk().pages_written() > written + mib_pages(2));
  CHECK(host.pool().use(0).persistent_gets > gets + mib_pages(100));
  CHECK(host.guest(0).counters().disk_read_pages == read);
}

TEST_CASE("write-back: what came after the marking stays until it is old itself") {
  const Scenario scenario = one_swaps({hot(Kind::kAnon, 10), never_touched(110)});
  FixedTargets strategy({133, kOtherMib});
  SimHost host(scenario, Constants{}, strategy, true);
  shrink(host, strategy, {115, 97, 93});
  fill(host, strategy, 93);
  const uint32_t full = second_of(host);
  const uint64_t old = host.pool().use(0).persistent_pages;
  const uint64_t first_written = host.disk().pages_written();
  REQUIRE(old > mib_pages(10));
  run_until(host, full + 15);
  shrink(host, strategy, {75, 60, 45, 35});
  run_until(host, full + 40);
  const uint64_t written = host.disk().pages_written() - first_written;
  CHECK(written <= old);
  CHECK(written > old / 2);  // a chunk to which pages were added is not old
}

}  // namespace tmem::lab::policies
