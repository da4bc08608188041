// SPDX-License-Identifier: GPL-2.0-or-later
// Sums by hand, in KiB: 100 MiB = 102400, 200 MiB = 204800, 300 MiB = 307200, slush 73728.
#include <catch2/catch.hpp>

#include "policy/baselines/squeezed.h"
#include "tests/unit/policy_guests.h"

namespace tmem::policy::baselines {
namespace {

using testing::guest;
using testing::obey;
using testing::target_of;

// Guest 1 holds its maximum, guest 2 its minimum; free: the slush, 100 MiB and 8 KiB.
struct World {
  std::vector<Estimate> guests = {guest({1, 100, 300, 300}), guest({2, 100, 500, 100})};
  HostView host = testing::host(600, 172);
  std::unique_ptr<Strategy> squeezed = make_squeezed(1);

  World() { host.free_bytes += 8 * kKiB; }
  Plan tick() {
    const Plan plan = squeezed->plan(host, guests);
    host.now_ms += squeezed->period_ms();
    return plan;
  }
};

}  // namespace

TEST_CASE("squeezed: the same share of each range, shrinking first") {
  World world;
  // Freeable: guest 1 204800 - 8, guest 2 none. Surplus 102408 + 204792 = 307200, ranges 204800 +
  // 409600 = 614400: a half. Ideals 102400 + 102400 = 204800 and 102400 + 204800 = 307200.
  Plan plan = world.tick();
  CHECK(target_of(plan, 1) == 204800 * kKiB);
  CHECK_FALSE(target_of(plan, 2));  // it grows, so it waits

  obey(plan, world.guests, world.host);
  plan = world.tick();
  CHECK(target_of(plan, 2) == 307200 * kKiB);

  // Now both have 8 KiB taken off what they can free: surplus 8 + 102392 + 204792 = 307192, ideals
  // 102400 + 204800*307192/614400 = 204797.3 and 102400 + 409600*307192/614400 = 307194.7. Guest 1
  // is within 4 KiB of it, guest 2 has to shrink.
  obey(plan, world.guests, world.host);
  plan = world.tick();
  CHECK_FALSE(target_of(plan, 1));
  CHECK(target_of(plan, 2) == 307194 * kKiB);

  obey(plan, world.guests, world.host);
  plan = world.tick();
  CHECK(target_of(plan, 1) == 204797 * kKiB);
  obey(plan, world.guests, world.host);
  for (int i = 0; i < 20; ++i) CHECK(world.tick().wishes.empty());  // balanced
}

TEST_CASE("squeezed: looks every 10 s, and steps every second of a run") {
  World world;
  world.guests[0] = guest({1, 100, 300, 100});
  world.host.free_bytes = 73728 * kKiB;  // nothing to share: all at their minimum
  CHECK(world.tick().wishes.empty());
  world.host.free_bytes += 60 * kMiB;
  for (int i = 1; i < 10; ++i) CHECK(world.tick().wishes.empty());
  // 61440/614400 = 0.1 of each range.
  const Plan plan = world.tick();
  CHECK(target_of(plan, 1) == 120 * kMiB);
  CHECK(target_of(plan, 2) == 140 * kMiB);
  world.guests[0].facts.target_bytes = 120 * kMiB;  // it is on its way
  CHECK(target_of(world.tick(), 1) == 120 * kMiB);
}

TEST_CASE("squeezed: who does not shrink for 5 s is left out until the run ends") {
  World world;
  for (int second = 0; second <= 5; ++second) {
    const Plan plan = world.tick();
    CHECK(target_of(plan, 1) == 204800 * kKiB);
    CHECK_FALSE(target_of(plan, 2));
    world.guests[0].facts.target_bytes = *target_of(plan, 1);  // but it keeps what it has
  }
  // Guest 2 alone: surplus 102408, range 409600: 102400 + 102408.
  Plan plan = world.tick();
  CHECK_FALSE(target_of(plan, 1));
  CHECK(target_of(plan, 2) == 204808 * kKiB);
  // The 8 KiB again: it can free 102400, nothing else is there.
  obey(plan, world.guests, world.host);
  plan = world.tick();
  CHECK(target_of(plan, 2) == 204800 * kKiB);
  obey(plan, world.guests, world.host);
  CHECK(world.tick().wishes.empty());
  CHECK(world.tick().wishes.empty());
  CHECK(target_of(world.tick(), 1) == 204797 * kKiB);  // the next run asks it again
}

TEST_CASE("squeezed: a run ends though the host held back a target; the next one asks again") {
  World world;
  world.guests[1].facts.can_balloon = false;
  world.host.free_bytes = 73728 * kKiB - 4 * kMiB;  // 4 MiB and 8 KiB are missing
  CHECK(target_of(world.tick(), 1) == (307200 - 4096 - 8) * kKiB);
  // Its target stays as it is, which it has reached.
  for (int i = 1; i < 10; ++i) CHECK(world.tick().wishes.empty());
  CHECK(target_of(world.tick(), 1) == (307200 - 4096 - 8) * kKiB);
}

TEST_CASE("squeezed: a lower dynamic-max leaves the rest free") {
  World world;
  world.squeezed = make_squeezed(0.5);
  // Dynamic-max 200 and 300 MiB: ranges 307200, surplus 307200: all.
  CHECK(target_of(world.tick(), 1) == 200 * kMiB);
  world.guests[0].facts.target_bytes = 200 * kMiB;
  world.host.free_bytes += 500 * kMiB;
  CHECK(target_of(world.tick(), 1) == 200 * kMiB);  // no more than that, whatever is free
}

TEST_CASE("squeezed: no balloon driver, no part in it; the pool's evictable pages are free") {
  World world;
  world.guests[0].facts.can_balloon = false;
  world.host.pool_freeable_bytes = 100 * kMiB;
  const Plan plan = world.tick();
  CHECK_FALSE(target_of(plan, 1));
  CHECK(target_of(plan, 2) == (102400 + 102408 + 102400) * kKiB);
}

}  // namespace tmem::policy::baselines
