// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "policy/baselines/common.h"
#include "policy/baselines/static.h"
#include "tests/unit/policy_guests.h"

namespace tmem::policy::baselines {

using testing::guest;
using testing::host;
using testing::target_of;

TEST_CASE("static: a share of each maximum") {
  const std::vector guests = {guest({1, 256, 4096, 1000}), guest({2, 1800, 2048, 1000})};
  const Plan plan = make_static(0.75)->plan(host(8192, 6192), guests);
  CHECK(target_of(plan, 1) == 3072 * kMiB);  // 0.75 * 4096
  CHECK(target_of(plan, 2) == 1800 * kMiB);  // 0.75 * 2048 = 1536, below its minimum
}

TEST_CASE("static: more than there is becomes the same share less of each") {
  // 0.75 * (4096 + 2048) = 4608; there are 2560 - 256 = 2304: half.
  const std::vector guests = {guest({1, 0, 4096, 1000}), guest({2, 0, 2048, 1000})};
  const Plan plan = make_static(0.75)->plan(host(2560, 560, 256), guests);
  CHECK(target_of(plan, 1) == 1536 * kMiB);
  CHECK(target_of(plan, 2) == 768 * kMiB);
}

TEST_CASE("static: a given split; a guest that it does not name is left alone") {
  const std::vector guests = {guest({1, 0, 4096, 1000}), guest({2, 0, 2048, 1000})};
  const auto strategy = make_static(Split{{GuestId{1}, 700 * kMiB}, {GuestId{9}, kMiB}});
  const Plan plan = strategy->plan(host(8192, 6192), guests);
  REQUIRE(plan.wishes.size() == 1);
  CHECK(target_of(plan, 1) == 700 * kMiB);
}

TEST_CASE("clamp by weight: what fits is left alone") {
  const std::vector guests = {guest({1, 0, 4096, 500}), guest({2, 0, 4096, 500})};
  Plan plan{{{GuestId{1}, 1000 * kMiB, ""}, {GuestId{2}, 1000 * kMiB, ""}}};
  clamp_by_weight(host(2000, 1000), guests, plan);
  CHECK(target_of(plan, 1) == 1000 * kMiB);
  CHECK(target_of(plan, 2) == 1000 * kMiB);
}

TEST_CASE("clamp by weight: minima first, then by weight, what one does not need to the others") {
  // Room: 900 free and 50 evictable, less 150 head-room, and 100 + 200 + 300 + 400 of guests;
  // 400 of the guest without a wish go: 1400. Minima 100 + 100 + 0; 1200 left, weights 1, 2, 1.
  // Guest 1 wants 150 above its minimum, less than 1200/4: it gets them; 1050 for 2 and 3: 700 and
  // 350.
  std::vector guests = {guest({1, 100, 4096, 100}), guest({2, 100, 4096, 200}),
                        guest({3, 0, 4096, 300}), guest({4, 0, 4096, 400})};
  guests[0].facts.settings.weight = 1;
  guests[1].facts.settings.weight = 2;
  guests[2].facts.settings.weight = 1;
  Plan plan{
      {{GuestId{1}, 250 * kMiB, ""}, {GuestId{2}, 2000 * kMiB, ""}, {GuestId{3}, 1000 * kMiB, ""}}};
  HostView view = host(2000, 900, 150);
  view.pool_freeable_bytes = 50 * kMiB;
  clamp_by_weight(view, guests, plan);
  CHECK(target_of(plan, 1) == 250 * kMiB);
  CHECK(target_of(plan, 2) == 800 * kMiB);
  CHECK(target_of(plan, 3) == 350 * kMiB);
}

}  // namespace tmem::policy::baselines
