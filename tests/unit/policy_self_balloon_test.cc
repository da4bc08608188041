// SPDX-License-Identifier: GPL-2.0-or-later
// Sums by hand, in MiB.
#include <catch2/catch.hpp>

#include "policy/baselines/self_balloon.h"
#include "tests/unit/policy_guests.h"

namespace tmem::policy::baselines {
namespace {

using testing::host;
using testing::target_of;

// Of 4000 it has 2080, of which its kernel counts 2048; 64 are the kernel's reserve.
Estimate committed(uint64_t mib) {
  Estimate guest = testing::guest({1, 100, 4000, 2080});
  guest.sample->total_bytes = 2048 * kMiB;
  guest.sample->reserve_bytes = 64 * kMiB;
  guest.sample->committed_bytes = mib * kMiB;
  return guest;
}

Plan run(const Estimate& guest, double knob = 0.1) {
  return make_self_balloon(knob)->plan(host(8000, 5920), std::vector{guest});
}

}  // namespace

TEST_CASE("self-balloon: an eighth of the way down, all of the way up") {
  // Goal 900 + 64 + a tenth of 4000 = 1364: 2048 - 684/8 = 1962.5, and the 32 of the balloon.
  CHECK(target_of(run(committed(900)), 1) == 1994 * kMiB + kMiB / 2);
  // Goal 1900 + 64 + 400 = 2364.
  CHECK(target_of(run(committed(1900)), 1) == 2396 * kMiB);
  // Goal 3900 + 64 + 400: no more than its maximum.
  CHECK(target_of(run(committed(3900)), 1) == 4000 * kMiB);
  // At its goal: 1584 + 64 + 400 = 2048.
  CHECK(target_of(run(committed(1584)), 1) == 2080 * kMiB);
}

TEST_CASE("self-balloon: swap in the pool is to come back, and what is reserved is the knob") {
  Estimate guest = committed(1900);
  guest.facts.pool.persistent_pages = 5120;  // 20
  CHECK(target_of(run(guest), 1) == 2416 * kMiB);
  CHECK(target_of(run(guest, 0.2), 1) == 2816 * kMiB);
}

TEST_CASE("self-balloon: floors") {
  CHECK(self_balloon_floor_bytes(15 * kMiB, 0) == 15 * kMiB);         // too small: all
  CHECK(self_balloon_floor_bytes(40 * kMiB, 4 * kMiB) == 30 * kMiB);  // 4 + 16 + 20/2
  CHECK(self_balloon_floor_bytes(256 * kMiB, 0) == 67 * kMiB);        // 40 + 216/8
  CHECK(self_balloon_floor_bytes(1024 * kMiB, 0) == 134119424);       // 99 + 925/32 = 127.90625
  // 64 + 99 + (3936 - 99)/32 = 282.90625, above 290 - (290 - 64)/8 = 261.75.
  Estimate guest = committed(0);
  guest.facts.actual_bytes = guest.sample->total_bytes = 290 * kMiB;
  CHECK(target_of(run(guest, 0), 1) == 296648704);
}

TEST_CASE("self-balloon: the host clamps by weight") {
  // Both want 2396: 1932 + 464, and 1900 + 464 with 32 of the balloon. There are 1850 + 2050 and
  // 100 free; after the minimum of each 3800 remain. Three quarters are more than the 2296 that the
  // second wants; the first gets the other 1504.
  std::vector guests = {committed(1900), committed(1900)};
  guests[1].facts.id = GuestId{2};
  guests[1].facts.settings.weight = 768;
  guests[0].facts.actual_bytes = guests[0].sample->total_bytes = 1850 * kMiB;
  guests[0].sample->committed_bytes = 1932 * kMiB;
  guests[1].facts.actual_bytes = 2050 * kMiB;
  guests[1].sample->total_bytes = 2018 * kMiB;
  const Plan plan = make_self_balloon(0.1)->plan(host(4000, 100), guests);
  CHECK(target_of(plan, 1) == 1604 * kMiB);
  CHECK(target_of(plan, 2) == 2396 * kMiB);
}

TEST_CASE("self-balloon: no report or no balloon, no wish") {
  Estimate guest = committed(900);
  guest.facts.can_balloon = false;
  CHECK(run(guest).wishes.empty());
  guest = committed(900);
  guest.sample.reset();
  CHECK(run(guest).wishes.empty());
}

TEST_CASE("self-balloon: frontswap shrinks by a twentieth after three calm periods") {
  FrontswapShrink shrink;
  CHECK(shrink.next_pages(0) == 0);
  CHECK(shrink.next_pages(1000) == 1000);  // grew
  CHECK(shrink.next_pages(1000) == 1000);
  CHECK(shrink.next_pages(1000) == 1000);
  CHECK(shrink.next_pages(1000) == 950);  // the third
  CHECK(shrink.next_pages(950) == 950);
  CHECK(shrink.next_pages(950) == 950);
  CHECK(shrink.next_pages(950) == 903);  // 950 - 47
  CHECK(shrink.next_pages(951) == 951);  // grew again: from the start
  CHECK(shrink.next_pages(20) == 20);
  CHECK(shrink.next_pages(20) == 20);
  CHECK(shrink.next_pages(20) == 0);  // too few for a twentieth: all
}

}  // namespace tmem::policy::baselines
