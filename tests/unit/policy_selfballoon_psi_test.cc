// SPDX-License-Identifier: GPL-2.0-or-later
// Our strategy: what moves a guest's need, and what no report can get.
#include <catch2/catch.hpp>

#include "libtmem/base/units.h"
#include "policy/selfballoon_psi.h"
#include "policy/spare.h"

namespace tmem::policy {
namespace {

constexpr double kHarmless = 0.001;

Estimate guest(uint32_t id, uint64_t actual_mib) {
  Estimate estimate;
  estimate.facts.id = GuestId{id};
  estimate.facts.actual_bytes = estimate.facts.target_bytes = actual_mib * kMiB;
  estimate.facts.first_bytes = actual_mib * kMiB;
  estimate.facts.settings.min_bytes = 64 * kMiB;
  estimate.facts.settings.max_bytes = 1024 * kMiB;
  estimate.sample = Sample{};
  estimate.sample->total_bytes = actual_mib * kMiB;
  estimate.sample->available_bytes = actual_mib * kMiB / 2;
  estimate.report = ReportState::kFresh;
  return estimate;
}

HostView host(uint64_t now_ms, uint64_t total_mib, uint64_t pool_mib = 0) {
  HostView view;
  view.now_ms = now_ms;
  view.total_bytes = total_mib * kMiB;
  view.has_pool = pool_mib > 0;
  view.pool_held_bytes = view.pool_freeable_bytes = pool_mib * kMiB;
  return view;
}

uint64_t mib(const Plan& plan, size_t guest) {
  return plan.wishes.at(guest).target_bytes / kMiB;
}

// Ticks of a second; what is wished is what the guest has at the next tick.
uint64_t settle(SelfballoonPsi& strategy, std::vector<Estimate>& guests, uint64_t total_mib,
                uint64_t pool_mib, uint64_t& now_ms, int ticks) {
  for (int i = 0; i < ticks; ++i) {
    const Plan plan = strategy.plan(host(now_ms += 1000, total_mib, pool_mib), guests);
    for (size_t g = 0; g < guests.size(); ++g) {
      GuestFacts& facts = guests[g].facts;
      facts.actual_bytes = facts.target_bytes = plan.wishes[g].target_bytes;
    }
  }
  return guests[0].facts.actual_bytes / kMiB;
}

}  // namespace

TEST_CASE("policy selfballoon+psi: calm takes a five-hundredth a second, twice that with a pool") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 512)};
  uint64_t now_ms = 0;
  CHECK(settle(strategy, guests, 2048, 0, now_ms, 11) == 501);  // 512 * 0.998^10
  guests[0].facts.pool.has_client = true;
  CHECK(settle(strategy, guests, 2048, 0, now_ms, 10) == 482);  // 501.8 * 0.996^10
  CHECK(settle(strategy, guests, 2048, 0, now_ms, 1000) == 64);
}

TEST_CASE("policy selfballoon+psi: half of what is free above the margin goes each second") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 500)};
  guests[0].sample->free_bytes = 110 * kMiB;
  (void)strategy.plan(host(1000, 2048), guests);
  const Plan plan = strategy.plan(host(2000, 2048), guests);
  CHECK(mib(plan, 0) == 450);  // the margin is a fiftieth: 10
  CHECK(plan.wishes[0].reason == std::string(reason::kCalm));
}

TEST_CASE("policy selfballoon+psi: decisions between two reports do not slow that down") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 500)};
  guests[0].sample->free_bytes = 110 * kMiB;
  (void)strategy.plan(host(1000, 2048), guests);
  for (guests[0].sample_age_ms = 100; guests[0].sample_age_ms < 1000;
       guests[0].sample_age_ms += 100)
    CHECK(mib(strategy.plan(host(1000 + guests[0].sample_age_ms, 2048), guests), 0) >= 499);
  guests[0].sample_age_ms = 0;
  CHECK(mib(strategy.plan(host(2000, 2048), guests), 0) == 450);
}

TEST_CASE("policy selfballoon+psi: calm guests yield where others need more than there is") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 400), guest(2, 400)};
  uint64_t now_ms = 0;
  (void)settle(strategy, guests, 800, 0, now_ms, 2);
  guests[1].rates.some_ratio = 1;
  (void)settle(strategy, guests, 800, 0, now_ms, 3);
  CHECK(guests[0].facts.actual_bytes / kMiB < 360);  // 400 * 0.95^2 and less
  CHECK(guests[1].facts.actual_bytes / kMiB > 440);
  guests[0].rates.some_ratio = 0.002;  // it hurts now: no further
  const uint64_t left_mib = guests[0].facts.actual_bytes / kMiB;
  CHECK(settle(strategy, guests, 800, 0, now_ms, 3) >= left_mib);
}

TEST_CASE("policy selfballoon+psi: who hurts little yields to whom the pool has seen hurt") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 400), guest(2, 400)};
  for (Estimate& one : guests) one.facts.pool.has_client = true;
  guests[0].rates.some_ratio = 0.003;  // not calm
  guests[1].rates.some_ratio = 0.5;    // says it
  uint64_t now_ms = 0;
  SECTION("not for a word") {
    (void)settle(strategy, guests, 800, 80, now_ms, 20);
    CHECK(guests[0].facts.actual_bytes / kMiB >= 360);  // half, but for the pool's tenth
  }
  SECTION("up to a pressure that is small") {
    guests[1].facts.pool.ephemeral_pages = 100'000;
    guests[1].rates.persistent_gets = 20'000;  // 1 s of waiting in a second
    (void)settle(strategy, guests, 800, 80, now_ms, 20);
    CHECK(guests[0].facts.actual_bytes / kMiB < 260);
    guests[0].rates.some_ratio = 0.011;
    const uint64_t left_mib = guests[0].facts.actual_bytes / kMiB;
    CHECK(settle(strategy, guests, 800, 80, now_ms, 20) >= left_mib);
  }
}

TEST_CASE("policy selfballoon+psi: who had pressure of late is left alone for a while") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 512)};
  uint64_t now_ms = 0;
  (void)settle(strategy, guests, 2048, 0, now_ms, 1);
  guests[0].rates.some_ratio = 0.1;
  (void)settle(strategy, guests, 2048, 0, now_ms, 1);
  const uint64_t grown = guests[0].facts.actual_bytes / kMiB;
  guests[0].rates.some_ratio = 0;
  CHECK(settle(strategy, guests, 2048, 0, now_ms, 10) == grown);
  CHECK(settle(strategy, guests, 2048, 0, now_ms, 60) < grown);
}

TEST_CASE("policy selfballoon+psi: pages that came back are given back, twice, while it hurts") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 512)};
  uint64_t now_ms = 0;
  (void)settle(strategy, guests, 2048, 0, now_ms, 2);
  guests[0].rates.refault_pages = 10 * 256;
  const uint64_t before = guests[0].facts.actual_bytes / kMiB;
  guests[0].rates.some_ratio = 0.0005;  // harmless: no more
  CHECK(mib(strategy.plan(host(now_ms += 1000, 2048), guests), 0) <= before);
  guests[0].rates.some_ratio = 0.002;
  const Plan plan = strategy.plan(host(now_ms += 1000, 2048), guests);
  CHECK(mib(plan, 0) == before + 20);
  CHECK(plan.wishes[0].reason == std::string(reason::kReturns));
}

TEST_CASE("policy selfballoon+psi: a careful knob shares out what nobody needs") {
  SelfballoonPsi careful(0.00003);
  std::vector guests = {guest(1, 300), guest(2, 300)};
  uint64_t now_ms = 0;
  (void)settle(careful, guests, 800, 0, now_ms, 3);
  CHECK(guests[0].facts.actual_bytes / kMiB >= 398);
  CHECK(guests[1].facts.actual_bytes / kMiB >= 398);
}

TEST_CASE("policy selfballoon+psi: a wait that no page explains gives a quarter of its share") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 256)};
  (void)strategy.plan(host(1000, 2048), guests);
  guests[0].rates.some_ratio = 0.5;
  const Plan plan = strategy.plan(host(2000, 2048), guests);
  CHECK(mib(plan, 0) == 288);
  CHECK(plan.wishes[0].reason == std::string(reason::kPressure));
}

TEST_CASE("policy selfballoon+psi: who waits but has free memory is not given more") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 500)};
  guests[0].sample->free_bytes = 110 * kMiB;
  (void)strategy.plan(host(1000, 2048), guests);
  guests[0].rates.some_ratio = 0.2;  // a quarter of that is 25 MiB
  guests[0].rates.swap_in_pages = 256;
  const Plan plan = strategy.plan(host(2000, 2048), guests);
  CHECK(mib(plan, 0) == 450);
  CHECK(plan.wishes[0].reason == std::string(reason::kFree));
  guests[0].sample->free_bytes = 20 * kMiB;
  CHECK(mib(strategy.plan(host(3000, 2048), guests), 0) == 515);
}

TEST_CASE("policy selfballoon+psi: use that rises finds room ahead of it") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 256)};
  guests[0].sample->available_bytes = 40 * kMiB;
  (void)strategy.plan(host(1000, 2048), guests);
  guests[0].sample->available_bytes = 10 * kMiB;  // 30 MiB in a second
  const Plan plan = strategy.plan(host(2000, 2048), guests);
  CHECK(mib(plan, 0) == 256 + 4 * 30 + 5 - 10);  // beside a margin of a fiftieth and what is there
  CHECK(plan.wishes[0].reason == std::string(reason::kUse));
}

TEST_CASE("policy selfballoon+psi: a guest keeps something that it could make free") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 256)};
  Sample& sample = *guests[0].sample;
  sample.anon_bytes = 200 * kMiB;
  uint64_t now_ms = 0;
  SECTION("without swap an eighth of its maximum stays, however calm it is") {
    sample.swap_free_bytes = 0;
    sample.available_bytes = 142 * kMiB;
    (void)settle(strategy, guests, 2048, 0, now_ms, 1);
    for (int i = 0; i < 1000; ++i) {
      const uint64_t before = guests[0].facts.actual_bytes;
      (void)settle(strategy, guests, 2048, 0, now_ms, 1);
      sample.available_bytes -= before - guests[0].facts.actual_bytes;
    }
    CHECK(guests[0].facts.actual_bytes / kMiB == 256 - 14);
    CHECK(sample.available_bytes / kMiB == 128);
  }
  SECTION("nor is more taken between two reports than the last one allowed") {
    sample.swap_free_bytes = 0;
    sample.available_bytes = 142 * kMiB;
    (void)settle(strategy, guests, 2048, 0, now_ms, 1);
    guests[0].sample_age_ms = 1000;
    CHECK(settle(strategy, guests, 2048, 0, now_ms, 1000) == 256 - 14);
  }
  SECTION("swap takes what is cold") {
    sample.swap_free_bytes = 130 * kMiB;
    sample.available_bytes = 30 * kMiB;
    CHECK(settle(strategy, guests, 2048, 0, now_ms, 60) < 256 - 20);
  }
  SECTION("what is left does not grow beyond measure") {
    sample.swap_free_bytes = 0;
    CHECK(spare_min_bytes(sample, 32 * kMiB) == 24 * kMiB);
    CHECK(spare_min_bytes(sample, 64 * kGiB) == kGiB);
    sample.swap_free_bytes.reset();  // not told: as if there were enough
    CHECK(spare_min_bytes(sample, 64 * kGiB) == 24 * kMiB);
  }
  SECTION("who has less gets it, once") {
    sample.swap_free_bytes = 0;
    sample.available_bytes = 122 * kMiB;
    (void)strategy.plan(host(1000, 2048), guests);
    const Plan plan = strategy.plan(host(2000, 2048), guests);
    CHECK(mib(plan, 0) == 256 + 6);
    CHECK(plan.wishes[0].reason == std::string(reason::kUse));
    guests[0].facts.target_bytes = plan.wishes[0].target_bytes;  // the balloon is on its way
    CHECK(mib(strategy.plan(host(3000, 2048), guests), 0) == 256 + 6);
  }
}

TEST_CASE("policy selfballoon+psi: others' wishes take nothing from a guest without an agent") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 400), guest(2, 200)};
  uint64_t now_ms = 0;
  (void)settle(strategy, guests, 600, 0, now_ms, 1);
  const auto press = [&] {
    guests[1].rates.some_ratio = 0.9;
    return settle(strategy, guests, 600, 0, now_ms, 10);
  };
  SECTION("that never reported") {
    guests[0].sample.reset();
    guests[0].report = ReportState::kNone;
    CHECK(press() == 400);
    // But what it borrowed since: 400 were its own.
    guests[0].facts.actual_bytes = guests[0].facts.target_bytes = 450 * kMiB;
    guests[1].facts.actual_bytes = guests[1].facts.target_bytes = 150 * kMiB;
    CHECK(press() == 400);
  }
  SECTION("and it borrowed before the strategy began anew") {
    guests[0].sample.reset();
    guests[0].report = ReportState::kNone;
    guests[0].facts.first_bytes = 350 * kMiB;
    CHECK(press() == 350);
  }
  SECTION("but that is no agent's way to keep what it borrowed: to fall silent before that") {
    guests[0].sample.reset();
    guests[0].report = ReportState::kNone;
    guests[0].facts.has_reported = true;
    CHECK(press() == 300);
  }
  SECTION("but all above its share from one that fell silent") {
    guests[0].sample.reset();
    guests[0].report = ReportState::kStale;
    CHECK(press() == 300);
  }
}

TEST_CASE("policy selfballoon+psi: without an agent nothing is taken, the pool's counts give") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 256)};
  guests[0].sample.reset();
  uint64_t now_ms = 0;
  CHECK(settle(strategy, guests, 1024, 512, now_ms, 100) == 256);
  guests[0].rates.persistent_gets = 5 * 256;
  CHECK(settle(strategy, guests, 1024, 512, now_ms, 1) == 266);
}

TEST_CASE("policy selfballoon+psi: when all press, weight decides, then priority") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 300), guest(2, 300)};
  guests[1].facts.settings.weight = 768;
  for (Estimate& one : guests) one.rates.some_ratio = 1;
  uint64_t now_ms = 0;
  (void)settle(strategy, guests, 528, 0, now_ms, 5);
  CHECK(guests[0].facts.actual_bytes / kMiB == 164);  // 64 and a quarter of 400
  CHECK(guests[1].facts.actual_bytes / kMiB == 364);
  guests[0].facts.settings.priority = 1;
  (void)settle(strategy, guests, 528, 0, now_ms, 5);
  CHECK(guests[1].facts.actual_bytes / kMiB == 64);
}

TEST_CASE(
    "policy selfballoon+psi: of a host that all want, a pool keeps what it uses, up to a tenth") {
  std::vector guests = {guest(1, 300), guest(2, 300)};
  for (Estimate& one : guests) one.rates.some_ratio = 1;
  uint64_t now_ms = 0;
  const auto sum_mib = [&](HostView view) {
    SelfballoonPsi strategy(kHarmless);
    view.now_ms = now_ms += 1000;
    (void)strategy.plan(view, guests);
    view.now_ms = now_ms += 1000;
    const Plan plan = strategy.plan(view, guests);
    return mib(plan, 0) + mib(plan, 1);
  };
  CHECK(sum_mib(host(0, 640)) == 640);
  CHECK(sum_mib(host(0, 640, 200)) == 576);
  HostView view = host(0, 640, 20);
  CHECK(sum_mib(view) == 610);   // 20, and a sixty-fourth to grow
  view.pool_freeable_bytes = 0;  // swap
  CHECK(sum_mib(view) == 610);
  view.pool_held_bytes = 100 * kMiB;  // more than the tenth
  CHECK(sum_mib(view) == 540);
  view.pool_held_bytes = 0;  // emptied for guests
  CHECK(sum_mib(view) == 630);
}

TEST_CASE("policy selfballoon+psi: what was learned before a long pause does not run on") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 512)};
  guests[0].facts.pool.has_client = true;
  (void)strategy.plan(host(1000, 2048), guests);
  (void)strategy.plan(host(2000, 2048), guests);
  const Plan plan = strategy.plan(host(2000 + 3'600'000, 2048), guests);
  CHECK(mib(plan, 0) <= 512);
  CHECK(mib(plan, 0) >= 499);
}

TEST_CASE("policy selfballoon+psi: a balloon that is a page off its target is probed") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 512)};
  uint64_t now_ms = 0;
  for (int i = 0; i < 100; ++i) {
    const Plan plan = strategy.plan(host(now_ms += 1000, 2048), guests);
    guests[0].facts.target_bytes = plan.wishes[0].target_bytes;
    guests[0].facts.actual_bytes = guests[0].facts.target_bytes + kPageBytes;
  }
  CHECK(guests[0].facts.actual_bytes / kMiB < 440);
}

TEST_CASE("policy selfballoon+psi: a liar gets its entitlement, who proves its need borrows") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 300), guest(2, 300)};
  uint64_t now_ms = 0;
  guests[0].rates.some_ratio = 1;                                // says the liar
  CHECK(settle(strategy, guests, 800, 200, now_ms, 60) == 360);  // half, but for the pool's tenth
  CHECK(guests[1].facts.actual_bytes / kMiB < 280);
  guests[0].rates.persistent_gets = 2560;  // says the store: 10 MiB a second
  guests[0].facts.pool.ephemeral_pages = 100'000;
  CHECK(settle(strategy, guests, 800, 200, now_ms, 30) > 500);
}

TEST_CASE("policy selfballoon+psi: a page that is got again and again proves one page") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {guest(1, 300), guest(2, 300)};
  uint64_t now_ms = 0;
  guests[0].rates.some_ratio = 1;
  guests[0].rates.persistent_gets = guests[0].rates.ephemeral_hits = 2560;
  guests[0].facts.pool.persistent_pages = 1;
  CHECK(settle(strategy, guests, 800, 200, now_ms, 60) == 360);
  CHECK(guests[1].facts.actual_bytes / kMiB < 280);  // calm: it does not yield more than it would
}

}  // namespace tmem::policy
