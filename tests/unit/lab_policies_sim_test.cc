// SPDX-License-Identifier: GPL-2.0-or-later
// The policy simulation itself: memory is conserved, stall follows from missing memory.
#include <catch2/catch.hpp>

#include "tests/unit/lab_policies_world.h"

namespace tmem::lab::policies {

TEST_CASE("a guest with memory enough never waits") {
  const Scenario scenario =
      small_scenario({small_guest({hot(Kind::kAnon, 80), hot(Kind::kFile, 40)})}, 300);
  for (const bool pool : {false, true}) {
    const RunResult result = run_fixed(scenario, {256}, pool);
    CHECK(result.stall_some == 0);
    CHECK(result.stall_full == 0);
    CHECK(result.disk_reads == 0);
    CHECK(result.starved_s == 0);
    CHECK_FALSE(result.burst_ms);
  }
}

TEST_CASE("half of what is touched all the time: it waits, less with the pool") {
  for (const Kind kind : {Kind::kAnon, Kind::kFile}) {
    const Scenario scenario = small_scenario({small_guest({hot(kind, 160)})}, 300);
    const RunResult off = run_fixed(scenario, {96}, false);
    const RunResult on = run_fixed(scenario, {96}, true);
    CHECK(off.stall_some > 0.3);
    CHECK(off.disk_reads > 0);
    CHECK(off.starved_s > 100);
    CHECK(on.stall_some > 0);
    CHECK(on.stall_some < off.stall_some / 2);
    CHECK(on.disk_reads < off.disk_reads / 10);
  }
}

TEST_CASE("cold memory may go without stall, and counts as freed") {
  const Scenario scenario = small_scenario(
      {small_guest({hot(Kind::kAnon, 40), {Kind::kAnon, 25, 3'000'000, 3'000'000, true, false}})},
      300);
  const RunResult result = run_fixed(scenario, {128}, false);
  CHECK(result.stall_some < 0.02);  // only the balloon's imperfect choice
  CHECK(result.freed_bytes == Approx(128.0 * kMiB).epsilon(0.01));
  CHECK(result.freed_ratio == Approx(0.5).epsilon(0.01));
  CHECK(result.starved_s == 0);
}

TEST_CASE("with the pool, persistent pages are not freed: they are still somebody's memory") {
  Scenario scenario = small_scenario(
      {small_guest({hot(Kind::kAnon, 40), {Kind::kAnon, 25, 3'000'000, 3'000'000, true, false}})},
      300);
  scenario.pool_ratio = 2;
  FixedTargets strategy({100});
  SimHost host(scenario, Constants{}, strategy, true);
  const RunResult result = host.run();
  const double held = static_cast<double>(host.pool().persistent_bytes(0));
  CHECK(held > 10.0 * kMiB);
  CHECK(result.freed_bytes == Approx(156.0 * kMiB - held).epsilon(0.02));
}

TEST_CASE("memory is conserved at each tick, whatever the targets") {
  Scenario scenario = small_scenario(
      {small_guest({hot(Kind::kAnon, 120), hot(Kind::kFile, 80)}),
       small_guest({hot(Kind::kAnon, 60), {Kind::kFile, 100, 2000, 60'000, true, false}}),
       small_guest({hot(Kind::kFile, 200)})},
      500);
  Rng rng(3);
  for (const bool pool : {false, true}) {
    FixedTargets strategy({100, 100, 100});
    SimHost host(scenario, Constants{}, strategy, pool);
    for (uint32_t i = 0; i < host.ticks(); ++i) {
      if (i % 50 == 0)
        strategy.set({24 + rng.below(232), 24 + rng.below(232), 24 + rng.below(232)});
      host.tick();
      uint64_t sum = 0;
      for (uint32_t id = 0; id < 3; ++id) {
        const SimGuest& guest = host.guest(id);
        const uint64_t persistent = host.pool().use(id).persistent_pages;
        REQUIRE(mib_pages(16) + guest.anon_pages() + guest.file_pages() + guest.free_pages() ==
                guest.actual_pages());
        REQUIRE(guest.swapped_pages() >= persistent);
        sum += guest.actual_pages() * kPageBytes;
      }
      REQUIRE(sum == host.pool().guests_bytes());
      REQUIRE(sum + host.pool().held_bytes() <= mib_pages(500) * kPageBytes);
      if (!pool) REQUIRE(host.pool().held_bytes() == 0);
    }
  }
}

TEST_CASE("a burst: late by the disk without memory, on time with the pool or free memory") {
  // 128 MiB more within a second, in a guest that has 64.
  const auto guest = small_guest({hot(Kind::kAnon, 40), {Kind::kAnon, 32, 500, 2000, false, false}},
                                 {{100'000, 1, Action::kBurst}, {150'000, 1, Action::kFree}});
  const Scenario scenario = small_scenario({guest}, 300);
  Constants hard_disk;
  hard_disk.disk = kHardDisk;
  const RunResult enough = run_fixed(scenario, {256}, false);
  REQUIRE(enough.burst_ms);
  CHECK(*enough.burst_ms == 0);
  CHECK(*enough.burst_balloon_ms == 0);
  CHECK(enough.bursts == 1);
  CHECK(enough.bursts_in_time == 1);
  CHECK(enough.bursts_balloon_in_time == 1);
  const RunResult off = run_fixed(scenario, {64}, false, hard_disk);
  const RunResult on = run_fixed(scenario, {64}, true, hard_disk);
  CHECK(*off.burst_ms > 1000);
  CHECK(off.bursts == 1);
  CHECK(off.bursts_in_time == 0);
  CHECK(off.bursts_balloon_in_time == 0);
  CHECK(*on.burst_ms < *off.burst_ms / 4);
  CHECK(*on.burst_balloon_ms == Approx(50'000).margin(200));  // never: until the burst ends
}

TEST_CASE("the balloon takes its time: 435 MiB a second") {
  const Scenario scenario = small_scenario({small_guest({hot(Kind::kAnon, 20)})}, 300);
  FixedTargets strategy({60});
  SimHost host(scenario, Constants{}, strategy, false);
  while (host.now() < 100) host.tick();
  CHECK(host.guest(0).actual_pages() == mib_pages(60));
  strategy.set({234});
  while (host.target_pages(0) != mib_pages(234)) host.tick();
  uint32_t ticks = 0;
  for (; host.guest(0).actual_pages() != mib_pages(234); ++ticks) host.tick();
  CHECK(ticks == 4);  // 174 MiB
}

TEST_CASE("a stuck balloon driver does nothing until it goes on") {
  GuestScript guest = small_guest({hot(Kind::kAnon, 20)});
  guest.stuck_from_ms = 5000;
  guest.stuck_until_ms = 20'000;
  const Scenario scenario = small_scenario({guest}, 300);
  FixedTargets strategy({256});
  SimHost host(scenario, Constants{}, strategy, false);
  while (host.now() < 60) host.tick();
  strategy.set({100});
  while (host.now() < 199) host.tick();
  CHECK(host.guest(0).actual_pages() == mib_pages(256));
  while (host.now() < 210) host.tick();
  CHECK(host.guest(0).actual_pages() == mib_pages(100));
}

TEST_CASE("a guest that does not follow for 20 s loses its promise of more, for a minute") {
  GuestScript guest = small_guest({hot(Kind::kAnon, 20)});
  guest.stuck_from_ms = 5000;
  guest.stuck_until_ms = 85'000;
  Scenario scenario = small_scenario({guest}, 300);
  scenario.duration_ms = 120'000;
  FixedTargets strategy({100});
  SimHost host(scenario, Constants{}, strategy, false);
  const auto target_at = [&](uint32_t second) {
    while (host.now() < second * 1000 / kTickMs) host.tick();
    return host.target_pages(0);
  };
  REQUIRE(target_at(4) == mib_pages(100));
  REQUIRE(host.guest(0).actual_pages() == mib_pages(100));
  strategy.set({200});
  CHECK(target_at(24) == mib_pages(200));
  CHECK(target_at(28) == mib_pages(100));
  CHECK(target_at(84) == mib_pages(100));
  CHECK(target_at(92) == mib_pages(200));
  CHECK(host.guest(0).actual_pages() == mib_pages(200));
}

TEST_CASE("self-shrinking: after a burst the pool's swap comes home, slowly, where there is room") {
  const auto guest = small_guest({hot(Kind::kAnon, 20),
                                  {Kind::kAnon, 15, 3'000'000, 3'000'000, true, false},
                                  {Kind::kAnon, 30, 500, 2000, false, false}},
                                 {{70'000, 2, Action::kBurst}, {80'000, 2, Action::kFree}});
  Scenario scenario = small_scenario({guest}, 300);
  scenario.duration_ms = 400'000;
  FixedTargets strategy({110});
  SimHost host(scenario, Constants{}, strategy, true);
  while (host.now() < 800) host.tick();
  const uint64_t before = host.pool().use(0).persistent_pages;
  REQUIRE(before > mib_pages(20));
  while (host.now() < 800 + 200) host.tick();
  CHECK(host.pool().use(0).persistent_pages > before / 2);
  while (host.now() < 800 + 3000) host.tick();
  CHECK(host.pool().use(0).persistent_pages < before / 5);
}

TEST_CASE("a strategy sees what a guest reports, and of a liar what it says") {
  GuestScript honest = small_guest({hot(Kind::kAnon, 80), hot(Kind::kFile, 40)});
  honest.commit_factor = 1.5;
  GuestScript liar = honest;
  liar.lie_factor = 2;
  GuestScript silent = honest;
  silent.has_agent = false;
  const Scenario scenario = small_scenario({honest, liar, silent}, 900);
  FixedTargets strategy({200, 200, 200});
  SimHost host(scenario, Constants{}, strategy, true);
  while (host.now() < 300) host.tick();
  const auto& seen = strategy.seen();
  REQUIRE(seen[0].sample);
  CHECK(seen[0].report == policy::ReportState::kFresh);
  CHECK(seen[0].sample->total_bytes == 200 * kMiB);
  CHECK(seen[0].sample->anon_bytes == 80 * kMiB);
  CHECK(seen[0].sample->committed_bytes == 120 * kMiB);
  CHECK(seen[0].sample->cache_bytes == 40 * kMiB);
  CHECK(seen[0].sample->free_bytes == 64 * kMiB);
  CHECK(seen[0].rates.some_ratio == 0);
  REQUIRE(seen[1].sample);
  CHECK(seen[1].sample->committed_bytes == 240 * kMiB);
  CHECK(seen[1].rates.some_ratio == Approx(0.05).epsilon(0.01));
  CHECK_FALSE(seen[2].sample);
  CHECK(seen[2].facts.actual_bytes == 200 * kMiB);
}

TEST_CASE("the PSI trigger has a report written at once, in moderation") {
  const auto guest = small_guest({hot(Kind::kAnon, 160)});
  const Scenario scenario = small_scenario({guest}, 300);
  FixedTargets strategy({96});
  SimHost host(scenario, Constants{}, strategy, false);
  uint32_t urgent_ticks = 0;
  while (host.now() < 600) {
    host.tick();
    if (host.now() % 10 == 0 && strategy.seen()[0].urgent) ++urgent_ticks;
  }
  CHECK(urgent_ticks > 30);
  // At most one in 500 ms; and a second's pause after five.
  CHECK(strategy.seen()[0].sample->urgent <= 60 * 5 / 3 + 5);
}

TEST_CASE("starvation and bursts count only where the host could have met them") {
  const auto guest = [](uint32_t at_ms) {
    return small_guest({hot(Kind::kAnon, 40), {Kind::kAnon, 40, 500, 2000, false, false}},
                       {{at_ms, 1, Action::kBurst}, {at_ms + 20'000, 1, Action::kFree}});
  };
  // 56 + 216 MiB are wanted of 285 usable; the policy holds on to 128 each.
  const RunResult alone = run_fixed(
      small_scenario({guest(70'000), small_guest({hot(Kind::kAnon, 40)})}, 300), {128, 128}, false);
  CHECK(alone.starved_s == Approx(20).margin(0.2));
  CHECK(alone.starved_all_s == alone.starved_s);
  CHECK(*alone.burst_balloon_ms == Approx(20'000).margin(200));
  // Both at once: 432 MiB.
  const RunResult both =
      run_fixed(small_scenario({guest(70'000), guest(70'000)}, 300), {128, 128}, false);
  CHECK(both.starved_s == 0);
  CHECK(both.starved_all_s == Approx(40).margin(0.4));
  CHECK_FALSE(both.burst_ms);
  CHECK_FALSE(both.burst_balloon_ms);
  CHECK(both.bursts == 0);
}

TEST_CASE("a streak counts whole, once it is longer than allowed") {
  Streak streak(3);
  for (const bool lasts : {true, true, true, false, true, true, true, true, true, false, true})
    streak.tick(lasts);
  CHECK(streak.ticks() == 5);
}

TEST_CASE("a stream in the pool: the rule of eviction decides whether it displaces a re-reader") {
  Region stream{Kind::kFile, 900, 0, 180'000, true, true};  // 20 MiB a second, once
  const Scenario scenario = small_scenario(
      {small_guest({stream}), small_guest({{Kind::kFile, 80, 20'000, 30'000, true, false}})}, 400);
  const auto hits = [&](Eviction eviction) {
    Constants constants;
    constants.pool.eviction = eviction;
    FixedTargets strategy({100, 100});
    SimHost host(scenario, constants, strategy, true);
    (void)host.run();
    CHECK(host.pool().use(0).ephemeral_hits == 0);
    const policy::PoolUse& use = host.pool().use(1);
    return static_cast<double>(use.ephemeral_hits) /
           static_cast<double>(use.ephemeral_hits + use.ephemeral_misses);
  };
  const double ours = hits(Eviction::kOurs);
  CHECK(ours > 0.9);
  CHECK(hits(Eviction::kShipped) < ours - 0.05);
}

}  // namespace tmem::lab::policies
