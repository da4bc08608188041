// SPDX-License-Identifier: GPL-2.0-or-later
// The list: each strategy in it can be made, says its name, and keeps to the interface.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "tests/unit/policy_guests.h"

namespace tmem::policy {

TEST_CASE("strategies: each has a name of its own and knobs with the published one among them") {
  std::set<std::string_view> names;
  REQUIRE_FALSE(strategy_kinds().empty());
  for (const StrategyKind& kind : strategy_kinds()) {
    INFO(kind.name);
    CHECK(names.insert(kind.name).second);
    CHECK_FALSE(kind.summary.empty());
    CHECK(kind.knobs.size() >= 5);
    CHECK(std::count(kind.knobs.begin(), kind.knobs.end(), kind.default_knob) == 1);
    const auto strategy = make_strategy(kind.name, kind.default_knob);
    REQUIRE(strategy);
    CHECK(strategy->name() == kind.name);
    CHECK(strategy->period_ms() > 0);
  }
  CHECK_FALSE(make_strategy("no such strategy", 1));
}

TEST_CASE("strategies: guests without reports, and none at all, are nothing to fall over") {
  for (const StrategyKind& kind : strategy_kinds()) {
    INFO(kind.name);
    const auto strategy = make_strategy(kind.name, kind.default_knob);
    std::vector guests = {testing::guest({1, 256, 4096, 1000}),
                          testing::guest({2, 256, 2048, 1000})};
    for (Estimate& guest : guests) guest.sample.reset();
    for (int tick = 0; tick < 20; ++tick) {
      std::set<GuestId> wished;
      for (const Wish& wish : strategy->plan(testing::host(8192, 6192), guests).wishes) {
        CHECK(wished.insert(wish.id).second);
        CHECK((wish.id == GuestId{1} || wish.id == GuestId{2}));
      }
      CHECK(strategy->plan(testing::host(8192, 8192), {}).wishes.empty());
    }
  }
}

TEST_CASE(
    "strategies: the largest and the smallest numbers of a report move no target beyond sense") {
  constexpr uint64_t kSizeMax = uint64_t{1} << 54;
  for (const StrategyKind& kind : strategy_kinds()) {
    INFO(kind.name);
    const auto strategy = make_strategy(kind.name, kind.default_knob);
    std::vector guests = {testing::guest({1, 256, 4096, 1000}),
                          testing::guest({2, 256, 2048, 1000}),
                          testing::guest({3, 256, 2048, 1000})};
    HostView host = testing::host(8192, 5192);
    for (uint32_t tick = 0; tick < 512; ++tick) {
      host.now_ms += strategy->period_ms();
      // Every combination of extremes over time, another in each guest.
      for (size_t i = 0; i < guests.size(); ++i) {
        const auto size = [&](uint32_t bit) { return (tick >> (bit + i) % 9 & 1) * kSizeMax; };
        Sample sample;
        sample.total_bytes = size(0);
        sample.free_bytes = size(1);
        sample.available_bytes = size(2);
        sample.cache_bytes = size(3);
        sample.anon_bytes = size(4);
        sample.committed_bytes = size(5);
        sample.reserve_bytes = size(6);
        sample.swap_used_bytes = size(7);
        sample.pressure = Pressure{size(8), 0};
        guests[i].sample = sample;
      }
      for (const Wish& wish : strategy->plan(host, guests).wishes)
        CHECK(wish.target_bytes <= 8192 * kMiB);
    }
  }
}

}  // namespace tmem::policy
