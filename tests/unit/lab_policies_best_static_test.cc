// SPDX-License-Identifier: GPL-2.0-or-later
// The best static split: the search by trials, and that no split without knowledge beats it.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <numeric>
#include <set>

#include "policy/baselines/static.h"
#include "tests/unit/lab_policies_world.h"
#include "tools/lab/policies/best_static.h"

namespace tmem::lab::policies {
namespace {

uint64_t sum_of(const Split& split) {
  return std::accumulate(split.begin(), split.end(), uint64_t{0});
}

// The stall of a guest that lacks memory is what it lacks.
std::vector<double> lacking(const Split& split, const Split& needed) {
  std::vector<double> stalls;
  for (size_t i = 0; i < split.size(); ++i)
    stalls.push_back(needed[i] > split[i] ? static_cast<double>(needed[i] - split[i]) : 0);
  return stalls;
}

double stall_of(const Scenario& scenario, policy::Strategy& strategy, bool pool) {
  return SimHost(scenario, Constants{}, strategy, pool).run().stall_some;
}

double stall_of(const Scenario& scenario, const Split& split, bool pool) {
  return stall_of(scenario, *make_fixed_split(split), pool);
}

}  // namespace

TEST_CASE("memory is divided by weight; what one cannot take goes to the others") {
  const SplitLimits limits{{10, 10, 10}, {100, 1000, 1000}};
  CHECK(divide(300, {1, 1, 1}, limits) == Split{100, 100, 100});
  CHECK(divide(600, {1, 1, 1}, limits) == Split{100, 250, 250});
  CHECK(divide(400, {2, 1, 1}, limits) == Split{100, 150, 150});
  CHECK(divide(110, {1, 50, 50}, limits) == Split{10, 50, 50});
  CHECK(divide(5000, {1, 1, 1}, limits) == Split{100, 1000, 1000});
  CHECK(divide(3, {1, 1, 1}, limits) == Split{10, 10, 10});
}

TEST_CASE("the search finds the split by trials alone, within its limits and its trials") {
  const SplitLimits limits{{100, 100, 100}, {1000, 1000, 1000}};
  const Split needed{800, 150, 400};
  uint32_t trials = 0;
  const TrySplit attempt = [&](const Split& split) {
    ++trials;
    CHECK(sum_of(split) == 1350);
    for (size_t i = 0; i < split.size(); ++i) {
      CHECK(split[i] >= limits.min_pages[i]);
      CHECK(split[i] <= limits.max_pages[i]);
    }
    return lacking(split, needed);
  };
  const Split start{450, 450, 450};
  const auto lack = [&](uint32_t allowed) {
    trials = 0;
    const auto stalls = lacking(improve_split({start}, limits, allowed, attempt), needed);
    CHECK(trials <= allowed);
    return std::accumulate(stalls.begin(), stalls.end(), 0.0);
  };
  CHECK(lack(1) == 350);
  CHECK(lack(4) < 350);
  CHECK(lack(40) < 20);
}

TEST_CASE("the search keeps the best start where no move is better, and tries no split twice") {
  const SplitLimits limits{{0, 0}, {100, 100}};
  std::set<Split> seen;
  const TrySplit attempt = [&](const Split& split) {
    CHECK(seen.insert(split).second);
    return std::vector<double>(2, std::abs(static_cast<double>(split[0]) - 70));
  };
  CHECK(improve_split({{50, 50}, {70, 30}, {50, 50}}, limits, 30, attempt) == Split{70, 30});
}

TEST_CASE("the best split of memory, worked out by hand") {
  // Cells are 16 MiB. Guest A stalls 0.5, 0.1, 0 with 16, 32, 48 MiB; B 0.9, 0.2, 0.
  const std::vector<StallCurve> curves = {
      {{mib_pages(16), 0.5}, {mib_pages(32), 0.1}, {mib_pages(48), 0}},
      {{mib_pages(16), 0.9}, {mib_pages(32), 0.2}, {mib_pages(48), 0}}};
  const auto split = [&](uint64_t mib) {
    const auto pages = least_stall_split(curves, mib_pages(mib));
    return std::vector<uint64_t>{pages[0] / mib_pages(1), pages[1] / mib_pages(1)};
  };
  CHECK(split(200) == std::vector<uint64_t>{48, 48});
  CHECK(split(80) == std::vector<uint64_t>{32, 48});  // 0.1 + 0, not 0 + 0.2
  CHECK(split(64) == std::vector<uint64_t>{32, 32});  // 0.3; the others are 0.5 and 0.9
  CHECK(split(48) == std::vector<uint64_t>{16, 32});  // 0.7, not 1.0
  CHECK(split(16) == std::vector<uint64_t>{16, 16});  // does not fit: the least of each
}

TEST_CASE("the best split gives the guest with the larger hot memory more") {
  const Scenario scenario = small_scenario(
      {small_guest({hot(Kind::kAnon, 180)}), small_guest({hot(Kind::kAnon, 60)})}, 330);
  const Split split = BestStatic(scenario, Constants{}).search(1, false);
  CHECK(split[0] >= mib_pages(196));
  CHECK(split[1] >= mib_pages(76));
  CHECK(split[1] < mib_pages(118));
}

TEST_CASE("no split without knowledge is better than the best one of the same budget and pool") {
  for (const uint32_t index : {0u, 1u, 7u, 10u}) {
    const Scenario scenario = make_scenario(3, index);
    BestStatic best(scenario, Constants{});
    for (const double share : {1.0, 0.5}) {
      const auto by_size = policy::baselines::make_static(share);
      for (const bool pool : {false, true}) {
        INFO(scenario.name << " at " << share << (pool ? " with" : " without") << " the pool");
        const Split& split = best.search(share, pool);
        const double stall = stall_of(scenario, split, pool);
        CHECK(stall <= stall_of(scenario, *by_size, pool));
        CHECK(stall <= stall_of(scenario, best.split_by_size(share), pool));
        CHECK(stall <= stall_of(scenario, best.equal_split(share), pool));
        CHECK(sum_of(split) <= sum_of(best.split_by_size(share)) + split.size());
      }
    }
  }
}

TEST_CASE("a budget that the host does not have is the host's, and is searched for once") {
  const Scenario scenario =
      small_scenario({small_guest({hot(Kind::kAnon, 180)}), small_guest({})}, 256);
  BestStatic best(scenario, Constants{});
  const Split& split = best.search(1, true);
  CHECK(sum_of(split) <= mib_pages(256) * 95 / 100);
  CHECK(&best.search(0.9, true) == &split);
  CHECK(&best.search(0.9, false) != &split);
}

}  // namespace tmem::lab::policies
