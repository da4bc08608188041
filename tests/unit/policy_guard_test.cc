// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever is wished, the plan fits into the host.
#include <catch2/catch.hpp>

#include "libtmem/base/units.h"
#include "policy/guard.h"
#include "tests/model/rng.h"

namespace tmem::policy {
namespace {

Estimate guest(uint32_t id, uint64_t actual_mib, uint64_t min_mib, uint64_t max_mib) {
  Estimate estimate;
  estimate.facts.id = GuestId{id};
  estimate.facts.actual_bytes = estimate.facts.target_bytes = actual_mib * kMiB;
  estimate.facts.settings.min_bytes = min_mib * kMiB;
  estimate.facts.settings.max_bytes = max_mib * kMiB;
  estimate.sample = Sample{};
  return estimate;
}

HostView host(uint64_t total_mib, uint64_t head_room_mib = 0) {
  HostView view;
  view.total_bytes = total_mib * kMiB;
  view.head_room_bytes = head_room_mib * kMiB;
  return view;
}

Wish wish(uint32_t id, uint64_t mib) {
  return {GuestId{id}, mib * kMiB, "test"};
}

uint64_t mib_of(const BoundedPlan& plan, size_t guest) {
  return plan.targets()[guest].target_bytes / kMiB;
}

}  // namespace

TEST_CASE("policy guard: a wish within all bounds is the target") {
  const std::vector guests = {guest(1, 100, 50, 200), guest(2, 100, 50, 200)};
  const BoundedPlan plan = bound(host(400), guests, {{wish(1, 150), wish(2, 60)}});
  CHECK(mib_of(plan, 0) == 150);
  CHECK(mib_of(plan, 1) == 60);
  CHECK(plan.targets()[0].bound == Bound::kNone);
  CHECK(plan.targets()[0].reason == std::string("test"));
}

TEST_CASE("policy guard: nothing is taken from a guest on a report that cannot be believed") {
  for (const ReportState state : {ReportState::kMalformed, ReportState::kAbsurd}) {
    std::vector guests = {guest(1, 100, 50, 200), guest(2, 100, 50, 200)};
    guests[0].report = guests[1].report = state;
    BoundedPlan plan = bound(host(1000), guests, {{wish(1, 80), wish(2, 120)}});
    CHECK(mib_of(plan, 0) == 100);
    CHECK(plan.targets()[0].bound == Bound::kStale);
    CHECK(mib_of(plan, 1) == 120);  // the pool's own counts may have asked for it
    // What it borrowed above its share, 80 of 160 here, it cannot keep.
    guests[0] = guest(1, 120, 20, 200);
    guests[1] = guest(2, 40, 20, 200);
    guests[0].report = state;
    plan = bound(host(160), guests, {{wish(1, 60), wish(2, 100)}});
    CHECK(mib_of(plan, 0) == 80);
    CHECK(plan.targets()[0].bound == Bound::kStale);
    guests = {guest(1, 100, 50, 200), guest(2, 100, 50, 200)};
    guests[0].report = guests[1].report = state;
    // The host's need comes before.
    plan = bound(host(160), guests, {{wish(1, 80), wish(2, 120)}});
    CHECK(mib_of(plan, 0) + mib_of(plan, 1) <= 160);
  }
}

TEST_CASE("policy guard: a guest's own bounds") {
  const std::vector guests = {guest(1, 100, 50, 200), guest(2, 100, 50, 200)};
  const BoundedPlan plan = bound(host(1000), guests, {{wish(1, UINT64_MAX / kMiB), wish(2, 0)}});
  CHECK(mib_of(plan, 0) == 200);
  CHECK(plan.targets()[0].bound == Bound::kMaximum);
  CHECK(mib_of(plan, 1) == 50);
  CHECK(plan.targets()[1].bound == Bound::kMinimum);
}

TEST_CASE("policy guard: memory that a guest still has is nobody else's") {
  const std::vector guests = {guest(1, 100, 50, 300), guest(2, 200, 50, 300)};
  const BoundedPlan plan = bound(host(320), guests, {{wish(1, 250), wish(2, 50)}});
  CHECK(mib_of(plan, 0) == 120);
  CHECK(plan.targets()[0].bound == Bound::kHost);
  CHECK(mib_of(plan, 1) == 50);
}

TEST_CASE("policy guard: growth goes by priority, then by weight") {
  std::vector guests = {guest(1, 100, 50, 400), guest(2, 100, 50, 400), guest(3, 100, 50, 400)};
  const Plan plan = {{wish(1, 400), wish(2, 400), wish(3, 110)}};
  guests[1].facts.settings.weight = 768;
  const BoundedPlan by_weight = bound(host(410), guests, plan);
  CHECK(mib_of(by_weight, 2) == 110);
  CHECK(mib_of(by_weight, 0) == 125);
  CHECK(mib_of(by_weight, 1) == 175);
  guests[0].facts.settings.priority = 1;
  const BoundedPlan by_priority = bound(host(410), guests, plan);
  CHECK(mib_of(by_priority, 0) == 210);
  CHECK(mib_of(by_priority, 1) == 100);
}

TEST_CASE("policy guard: persistent pages, head-room and claims are not the guests'") {
  const std::vector guests = {guest(1, 100, 50, 400)};
  HostView view = host(400, 50);
  view.claims_bytes = 30 * kMiB;
  view.pool_held_bytes = 100 * kMiB;
  view.pool_freeable_bytes = 80 * kMiB;
  CHECK(mib_of(bound(view, guests, {{wish(1, 400)}}), 0) == 300);
}

TEST_CASE("policy guard: head-room that was raised is taken from what is above the minimum") {
  const std::vector guests = {guest(1, 300, 100, 400), guest(2, 200, 100, 400),
                              guest(3, 100, 100, 400)};
  // Above their shares of 150 each, 150 and 50, the first two have more than the 150 that lack.
  BoundedPlan plan = bound(host(600, 150), guests, {{wish(1, 400), wish(2, 200)}});
  CHECK(mib_of(plan, 0) == 187);  // 112.5 of it, and a byte
  CHECK(mib_of(plan, 1) == 162);
  CHECK(mib_of(plan, 2) == 100);
  CHECK(plan.targets()[0].bound == Bound::kHost);
  // That is not enough: shares are 106 and 106 then, of 108 MiB above the minimum that may stay.
  plan = bound(host(600, 290), guests, {{wish(1, 400), wish(2, 200)}});
  CHECK(mib_of(plan, 0) + mib_of(plan, 1) == 209);
  CHECK(mib_of(plan, 2) == 100);
}

TEST_CASE("policy guard: who never reported gives what it had first when nobody else can") {
  std::vector guests = {guest(1, 300, 100, 400), guest(2, 300, 100, 400)};
  guests[0].sample.reset();
  guests[0].report = ReportState::kNone;
  guests[0].facts.first_bytes = 300 * kMiB;
  const Plan plan{{wish(1, 300), wish(2, 300)}};
  // Shares of 250; the second has nothing free, and 50 above its own.
  BoundedPlan bounded = bound(host(500), guests, plan);
  CHECK(mib_of(bounded, 0) == 271);
  CHECK(mib_of(bounded, 1) == 228);
  guests[0].facts.has_reported = true;
  bounded = bound(host(500), guests, plan);
  CHECK(mib_of(bounded, 0) == 250);
}

TEST_CASE("policy guard: what can be made free goes before what is in use") {
  std::vector guests = {guest(1, 400, 100, 400), guest(2, 400, 100, 400)};
  for (Estimate& each : guests) {
    each.sample->anon_bytes = 390 * kMiB;
    each.sample->swap_free_bytes = 0;
  }
  guests[1].sample->anon_bytes = 100 * kMiB;
  guests[1].sample->available_bytes = 290 * kMiB;  // 50 of it stay: an eighth
  const Plan plan{{wish(1, 400), wish(2, 400)}};
  BoundedPlan bounded = bound(host(800, 200), guests, plan);
  CHECK(mib_of(bounded, 0) == 400);
  CHECK(mib_of(bounded, 1) == 199);
  // 240 of the second's, then what the first has above its share of 230.
  bounded = bound(host(800, 340), guests, plan);
  CHECK(mib_of(bounded, 0) == 299);
  CHECK(mib_of(bounded, 1) == 160);
  // Nothing above a share is left: both suffer.
  bounded = bound(host(800, 560), guests, plan);
  CHECK(mib_of(bounded, 0) == 120);
  CHECK(mib_of(bounded, 1) == 120);
}

TEST_CASE("policy guard: without a report a target is held, without a balloon nothing is asked") {
  std::vector guests = {guest(1, 100, 50, 400), guest(2, 120, 50, 400)};
  guests[0].sample.reset();
  guests[0].facts.target_bytes = 90 * kMiB;
  guests[1].facts.can_balloon = false;
  guests[1].facts.target_bytes = 60 * kMiB;
  const BoundedPlan plan = bound(host(500), guests, {{wish(2, 400)}});
  CHECK(mib_of(plan, 0) == 90);
  CHECK(plan.targets()[0].bound == Bound::kStale);
  CHECK(mib_of(plan, 1) == 120);
  CHECK(plan.targets()[1].bound == Bound::kNoBalloon);
}

TEST_CASE("policy guard: a little growth is growth, next to nothing is not") {
  const std::vector guests = {guest(1, 100, 50, 400), guest(2, 100, 50, 400)};
  Plan plan{{wish(1, 100), wish(2, 100)}};
  plan.wishes[0].target_bytes += 300 * kKiB;
  plan.wishes[1].target_bytes += 200 * kKiB;
  const BoundedPlan bounded = bound(host(500), guests, plan);
  CHECK(bounded.targets()[0].target_bytes == 100 * kMiB + 300 * kKiB);
  CHECK(bounded.targets()[0].bound == Bound::kNone);
  CHECK(bounded.targets()[1].target_bytes == 100 * kMiB);
  CHECK(bounded.targets()[1].bound == Bound::kUnchanged);
}

TEST_CASE("policy guard: the invariants hold for anything") {
  model::Rng rng(7);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<Estimate> guests;
    Plan plan;
    uint64_t actual = 0;
    const auto count = static_cast<uint32_t>(1 + rng.below(6));
    for (uint32_t id = 0; id < count; ++id) {
      const uint64_t min = rng.below(200);
      guests.push_back(guest(id, rng.below(400), min, min + rng.below(400)));
      GuestFacts& facts = guests.back().facts;
      facts.target_bytes = rng.below(600) * kMiB;
      facts.settings.weight = static_cast<uint32_t>(rng.below(5) * 100);
      facts.settings.priority = static_cast<uint32_t>(rng.below(3));
      actual += facts.actual_bytes;
      if (rng.below(4) != 0)
        plan.wishes.push_back(
            {GuestId{id}, rng.below(10) == 0 ? UINT64_MAX : rng.below(700) * kMiB, "any"});
    }
    HostView view = host(rng.below(1500), rng.below(200));
    view.pool_held_bytes = rng.below(300) * kMiB;
    view.pool_freeable_bytes = rng.below(300) * kMiB;
    const int64_t capacity = std::max<int64_t>(
        0, static_cast<int64_t>(view.total_bytes) - static_cast<int64_t>(view.head_room_bytes) -
               std::max<int64_t>(0, static_cast<int64_t>(view.pool_held_bytes) -
                                        static_cast<int64_t>(view.pool_freeable_bytes)));
    const BoundedPlan bounded = bound(view, guests, plan);
    REQUIRE(bounded.targets().size() == guests.size());
    int64_t sum = 0;
    for (size_t i = 0; i < guests.size(); ++i) {
      const GuestFacts& facts = guests[i].facts;
      const BoundedTarget& target = bounded.targets()[i];
      CHECK(target.id == facts.id);
      CHECK(target.target_bytes <= facts.settings.max_bytes);
      const bool too_small = static_cast<int64_t>(actual) > capacity;
      if (too_small)
        CHECK(target.target_bytes <= std::max(facts.actual_bytes, facts.settings.min_bytes));
      sum += static_cast<int64_t>(too_small ? target.target_bytes
                                            : std::max(target.target_bytes, facts.actual_bytes));
      if (target.bound != Bound::kHost) CHECK(target.target_bytes >= facts.settings.min_bytes);
    }
    if (static_cast<int64_t>(actual) <= capacity) CHECK(sum <= capacity);
  }
}

}  // namespace tmem::policy
