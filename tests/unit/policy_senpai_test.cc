// SPDX-License-Identifier: GPL-2.0-or-later
// Sums by hand: 1000 MiB = 1048576000 bytes, targets are whole pages of 4096.
#include <catch2/catch.hpp>

#include "policy/baselines/senpai.h"
#include "tests/unit/policy_guests.h"

namespace tmem::policy::baselines {
namespace {

using testing::target_of;

// One guest of 1000 MiB that obeys at once, all of it reclaimable.
struct World {
  std::unique_ptr<Strategy> strategy;
  std::vector<Estimate> guests = {testing::guest({1, 0, 3000, 1000})};
  HostView host = testing::host(4000, 3000);

  explicit World(std::unique_ptr<Strategy> made) : strategy(std::move(made)) {
    guests[0].sample->pressure.emplace();
    guests[0].sample->anon_bytes = 1000 * kMiB;
  }
  // A second later, in which it stalled for so long. What it was told then.
  std::optional<uint64_t> tick(uint64_t stall_us = 0) {
    guests[0].sample->pressure->some_us += stall_us;
    const Plan plan = strategy->plan(host, guests);
    testing::obey(plan, guests, host);
    return target_of(plan, 1);
  }
  void calm(int ticks, uint64_t expected_bytes) {
    for (int i = 0; i < ticks; ++i) CHECK(tick() == expected_bytes);
  }
};

}  // namespace

TEST_CASE("senpai: takes 1 % every six seconds while it is calm") {
  World world(make_senpai(10'000));
  world.calm(7, 1048576000);          // it begins with what the guest has, and 6 s of grace
  CHECK(world.tick() == 1038090240);  // 0.99 of it
  world.calm(5, 1038090240);
  // 2000 us: 10000/2000/10 = a half, of which the square: 0.25 % = 2595225.6: 1035495014, whole
  // pages.
  CHECK(world.tick(2000) == 1035493376);
  // Up to a tenth of the target is as good as nothing: 1 %, 1025138442, in whole
  // pages.
  world.calm(4, 1035493376);
  CHECK(world.tick(1000) == 1035493376);
  CHECK(world.tick() == 1025134592);
}

TEST_CASE("senpai: gives at once, in grace or not, by the square of the excess") {
  World world(make_senpai(10'000));
  world.calm(3, 1048576000);
  CHECK(world.tick(10'000) == 1048576000);  // not more than the target
  // 40000 in all: (4/20)^2 = 4 %.
  CHECK(world.tick(30'000) == 1090519040);
  // Grace again, and the stall counts from there.
  world.calm(5, 1090519040);
  CHECK(world.tick() == 1079611392);  // 0.99 of it is 1079613849
  // Twenty times the target doubles, and more than that does too.
  CHECK(world.tick(300'000) == 2159222784);
  CHECK(world.tick(300'000) == 3000 * kMiB);  // its maximum
}

TEST_CASE("tmo: takes 0.05 % in six seconds, less when there is stall, and gives like senpai") {
  World world(make_tmo(0.001));  // 6000 us in 6 s
  world.calm(7, 1048576000);
  CHECK(world.tick() == 1048051712);  // 999.5 MiB
  world.calm(5, 1048051712);
  // Half of the threshold, half of it: 262012.9 of 1048051712: 1047789699, whole pages.
  CHECK(world.tick(3000) == 1047789568);
  // 24000: (4/20)^2 of 1047789568 = 41911582.7: 1089701150.
  CHECK(world.tick(24'000) == 1089699840);
}

TEST_CASE("senpai: never below what cannot be reclaimed and 100 MiB, nor the minimum") {
  World world(make_senpai(10'000));
  world.guests[0].sample->anon_bytes = 600 * kMiB;
  world.guests[0].sample->cache_bytes = 250 * kMiB;
  world.guests[0].sample->free_bytes = 50 * kMiB;
  world.guests[0].facts.actual_bytes = world.guests[0].facts.target_bytes = 150 * kMiB;
  CHECK(world.strategy->plan(world.host, world.guests).wishes[0].target_bytes == 200 * kMiB);
  World bounded(make_senpai(10'000));
  bounded.guests[0].facts.settings.min_bytes = 995 * kMiB;
  bounded.calm(7, 1048576000);
  CHECK(bounded.tick() == 995 * kMiB);
}

TEST_CASE("senpai: a guest whose counter went back has not stalled; without PSI it is left alone") {
  World world(make_senpai(10'000));
  world.guests[0].sample->pressure->some_us = 1'000'000;
  world.calm(3, 1048576000);
  world.guests[0].sample->pressure->some_us = 0;
  world.calm(4, 1048576000);
  world.guests[0].sample->pressure.reset();
  CHECK(world.strategy->plan(world.host, world.guests).wishes.empty());
}

TEST_CASE("senpai: the host clamps by weight, and limits go on from there") {
  World world(make_senpai(10'000));
  world.host.free_bytes = 10 * kMiB;
  world.calm(3, 1048576000);
  CHECK(world.tick(200'000) == 1010 * kMiB);  // of 2000
  world.calm(1, 1010 * kMiB);
  // What it asks for next is not lost, however much was cut: 4 % of 1010 MiB, whole pages.
  world.host.free_bytes = 100 * kMiB;
  CHECK(world.tick(40'000) == 1101422592);
  world.calm(5, 1101422592);
  CHECK(world.tick() == 1090404352);  // 0.99 of it, 1090408366
}

}  // namespace tmem::policy::baselines
