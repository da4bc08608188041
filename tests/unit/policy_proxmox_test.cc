// SPDX-License-Identifier: GPL-2.0-or-later
// Sums by hand, in MiB. Of 10000 of the host, 8000 shall be in use. A guest with a minimum of 500
// is relaxed when more than 125 are free.
#include <catch2/catch.hpp>

#include "policy/baselines/proxmox.h"
#include "tests/unit/policy_guests.h"

namespace tmem::policy::baselines {
namespace {

using testing::guest;
using testing::host;
using testing::target_of;

Estimate with_free(Estimate estimate, uint64_t free_mib) {
  estimate.sample->free_bytes = free_mib * kMiB;
  return estimate;
}

Plan run(const HostView& view, const std::vector<Estimate>& guests, double target = 0.8) {
  return make_proxmox(target)->plan(view, guests);
}

// Two guests alike, with little free.
std::vector<Estimate> pressed() {
  return {with_free(guest({1, 500, 4000, 1000}), 100), with_free(guest({2, 500, 4000, 1000}), 100)};
}

}  // namespace

TEST_CASE("proxmox: a goal is shared out, by at most 100 MiB each") {
  // 60 to give: (500 + 500 + 60) / 2 = 530 above the minimum.
  Plan plan = run(host(10000, 2060), pressed());
  CHECK(target_of(plan, 1) == 1030 * kMiB);
  CHECK(target_of(plan, 2) == 1030 * kMiB);
  // 1000: 1500 each, in steps.
  plan = run(host(10000, 3000), pressed());
  CHECK(target_of(plan, 1) == 1100 * kMiB);
  CHECK(target_of(plan, 2) == 1100 * kMiB);
  // Up to 10: nothing.
  CHECK(run(host(10000, 2010), pressed()).wishes.empty());
  CHECK(run(host(10000, 1990), pressed()).wishes.empty());
  CHECK_FALSE(run(host(10000, 2011), pressed()).wishes.empty());
}

TEST_CASE("proxmox: above the minimum by shares, so that growing may shrink one") {
  // 1060 by 1 to 3: 265 and 795, so 765 and 1295, in steps of 100.
  std::vector guests = pressed();
  guests[0].facts.settings.weight = 100;
  guests[1].facts.settings.weight = 300;
  const Plan plan = run(host(10000, 2060), guests);
  CHECK(target_of(plan, 1) == 900 * kMiB);
  CHECK(target_of(plan, 2) == 1100 * kMiB);
}

TEST_CASE("proxmox: what a maximum leaves over goes to the others") {
  // 60: 1030 each, but the first may have 1010. The next pass has 510 + 530 + 20 = 1060 to share
  // again, so nothing changes any more, and 20 stay.
  std::vector guests = pressed();
  guests[0].facts.settings.max_bytes = 1010 * kMiB;
  Plan plan = run(host(10000, 2060), guests);
  CHECK(target_of(plan, 1) == 1010 * kMiB);
  CHECK(target_of(plan, 2) == 1030 * kMiB);
  // At its maximum from the start it is done after the first pass, which gave the other 30; the
  // second: 530 + 30 = 560 for the other alone.
  guests[0].facts.settings.max_bytes = 1000 * kMiB;
  plan = run(host(10000, 2060), guests);
  CHECK_FALSE(target_of(plan, 1));
  CHECK(target_of(plan, 2) == 1060 * kMiB);
}

TEST_CASE("proxmox: who has little free grows first, who has enough shrinks first") {
  std::vector guests = pressed();
  guests[1] = with_free(guests[1], 300);
  Plan plan = run(host(10000, 2060), guests);
  CHECK(target_of(plan, 1) == 1060 * kMiB);
  CHECK_FALSE(target_of(plan, 2));
  // 500 too many.
  plan = run(host(10000, 1500), guests);
  CHECK_FALSE(target_of(plan, 1));
  CHECK(target_of(plan, 2) == 900 * kMiB);
  // The relaxed one has no more than its minimum: then all.
  guests[1] = with_free(guest({2, 500, 4000, 500}), 300);
  plan = run(host(10000, 1500), guests);
  CHECK(target_of(plan, 1) == 900 * kMiB);
  CHECK_FALSE(target_of(plan, 2));
}

TEST_CASE("proxmox: a guest that says nothing counts as pressed") {
  std::vector guests = pressed();
  for (Estimate& guest : guests) guest = with_free(guest, 300);
  guests[0].sample.reset();
  CHECK(target_of(run(host(10000, 2060), guests), 1) == 1060 * kMiB);
}

TEST_CASE("proxmox: no balloon, no minimum or no shares, no part in it") {
  std::vector guests = pressed();
  guests.push_back(guest({3, 0, 4000, 1000}));
  guests.push_back(guest({4, 500, 4000, 1000}));
  guests[0].facts.can_balloon = false;
  guests[3].facts.settings.weight = 0;
  const Plan plan = run(host(10000, 2060), guests);
  REQUIRE(plan.wishes.size() == 1);
  CHECK(target_of(plan, 2) == 1060 * kMiB);
}

TEST_CASE("proxmox: the pool's evictable pages are not in use; a lower target frees more") {
  HostView view = host(10000, 1000);
  view.pool_freeable_bytes = 1060 * kMiB;
  CHECK(target_of(run(view, pressed()), 1) == 1030 * kMiB);
  CHECK(target_of(run(view, pressed(), 0.7), 1) == 900 * kMiB);
}

}  // namespace tmem::policy::baselines
