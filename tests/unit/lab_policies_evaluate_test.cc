// SPDX-License-Identifier: GPL-2.0-or-later
// Scenarios, trade-off curves, and whole evaluations.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/unit/lab_policies_world.h"
#include "tools/lab/policies/output.h"

namespace tmem::lab::policies {

TEST_CASE("scenarios: the seed decides, families take turns, all are sound") {
  std::set<uint64_t> hosts;
  for (uint32_t i = 0; i < 120; ++i) {
    const Scenario scenario = make_scenario(5, i);
    INFO(scenario.name);
    CHECK(scenario.family == families()[i % families().size()]);
    hosts.insert(scenario.host_pages);
    CHECK(scenario.guests.size() >= 3);
    CHECK(scenario.guests.size() <= 8);
    CHECK(scenario.pool_ratio >= 2);
    CHECK(scenario.pool_ratio <= 4);
    for (const GuestScript& guest : scenario.guests) {
      CHECK(guest.kernel_pages < guest.min_pages);
      CHECK(std::is_sorted(guest.events.begin(), guest.events.end(),
                           [](const Event& a, const Event& b) { return a.at_ms < b.at_ms; }));
      for (const Event& event : guest.events) CHECK(event.region < guest.regions.size());
    }
    const Scenario again = make_scenario(5, i);
    CHECK(again.host_pages == scenario.host_pages);
    CHECK(again.guests.size() == scenario.guests.size());
  }
  CHECK(hosts.size() > 40);
  CHECK(make_scenario(6, 3).seed != make_scenario(5, 3).seed);
}

TEST_CASE("scenarios: the cold family has the cold share that was reported for data centres") {
  const auto place = static_cast<uint32_t>(std::find(families().begin(), families().end(), "cold") -
                                           families().begin());
  double sum = 0;
  uint32_t guests = 0;
  for (uint32_t i = 0; i < 60; ++i) {
    const Scenario scenario =
        make_scenario(1000, i * static_cast<uint32_t>(families().size()) + place);
    for (const GuestScript& guest : scenario.guests) {
      double cold = 0;
      double all = 0;
      for (const Region& region : guest.regions) {
        all += region.chunks;
        if (region.period_min_ms >= 300'000) cold += region.chunks;
      }
      CHECK(cold / all > 0.18);
      CHECK(cold / all < 0.63);
      sum += cold / all;
      ++guests;
    }
  }
  CHECK(sum / guests == Approx(0.35).margin(0.02));
}

TEST_CASE("names choose scenarios: families, single ones, counts") {
  const auto names = [](const std::vector<std::string>& wanted, uint32_t count) {
    const auto scenarios = choose_scenarios(wanted, 1, count);
    REQUIRE(scenarios);
    std::vector<std::string> found;
    for (const Scenario& scenario : *scenarios) found.push_back(scenario.name);
    return found;
  };
  CHECK(names({}, 0).size() == families().size());
  CHECK(names({}, 14).back() == "bursts-1");
  CHECK(names({"cold", "idle-nights"}, 3) ==
        std::vector<std::string>{"cold-0", "idle-nights-0", "cold-1"});
  CHECK(names({"idle-nights-12"}, 0) == std::vector<std::string>{"idle-nights-12"});
  for (const char* wrong : {"", "colder", "cold-", "cold-x", "cold--1", "cold-99999999999"})
    CHECK_FALSE(choose_scenarios({wrong}, 1, 0));
}

TEST_CASE("names choose contenders") {
  CHECK_FALSE(choose_contenders({"no such policy"}, false));
  CHECK_FALSE(choose_contenders({"best-static@"}, false));
  const auto one = choose_contenders({"best-static"}, false);
  REQUIRE(one);
  REQUIRE(one->size() == 1);
  CHECK(one->front().knob == 1.0);
  CHECK(choose_contenders({"best-static"}, true)->size() == 7);
  CHECK(choose_contenders({"best-static@0.75"}, true)->front().knob == 0.75);
}

TEST_CASE("trade-off: the envelope, and stall at the same memory freed") {
  const std::vector<Point> points = {
      {0.1, 0.01, 1}, {0.2, 0.03, 2}, {0.15, 0.04, 3}, {0.4, 0.07, 4}, {0.3, 0.07, 5}};
  const auto envelope = lower_envelope(points);
  REQUIRE(envelope.size() == 3);
  CHECK(envelope[0].knob == 1);
  CHECK(envelope[1].knob == 2);
  CHECK(envelope[2].knob == 4);
  CHECK(*stall_at(envelope, 0.05) == Approx(0.01));  // frees more than asked
  CHECK(*stall_at(envelope, 0.15) == Approx(0.02));
  CHECK(*stall_at(envelope, 0.3) == Approx(0.05));
  CHECK_FALSE(stall_at(envelope, 0.41));
}

TEST_CASE("trade-off: a policy against ours, point by point") {
  const std::vector<Curve> curves = {{"ours", "all", true, {{0.1, 0.01, 1}, {0.3, 0.03, 2}}},
                                     {"worse", "all", true, {{0.1, 0.02, 1}, {0.2, 0.03, 2}}},
                                     {"mixed", "all", true, {{0.2, 0.01, 1}, {0.5, 0.5, 2}}},
                                     {"alone", "all", false, {{0.1, 0.1, 1}}}};
  const auto comparisons = compare(curves, "ours");
  REQUIRE(comparisons.size() == 2);
  CHECK(comparisons[0].policy == "worse");
  CHECK(comparisons[0].points == 2);
  CHECK(comparisons[0].ours_better == 2);
  CHECK(comparisons[0].stall == Approx(0.025));
  CHECK(comparisons[0].ours_stall == Approx(0.015));  // 0.01 and 0.02
  CHECK(comparisons[1].points == 2);
  CHECK(comparisons[1].ours_better == 0);  // 0.02 against 0.01
  CHECK(comparisons[1].unreached == 1);
}

TEST_CASE("an evaluation is the same with one thread and with two") {
  std::vector<std::string> dumps;
  for (const uint32_t threads : {1u, 2u}) {
    Evaluation evaluation;
    evaluation.seed = 3;
    evaluation.contenders = *choose_contenders({"best-static@1", "best-static@0.5"}, true);
    evaluation.scenarios = *choose_scenarios({"bursts", "stream"}, 3, 3);
    size_t reports = 0;
    run_all(evaluation, Constants{}, threads, [&](size_t, size_t) { ++reports; });
    CHECK(reports == 3);
    REQUIRE(evaluation.rows.size() == 3 * 2 * 2);
    const auto curves = make_curves(evaluation);
    CHECK(curves.size() == 2 * 3);  // two families and all, pool on and off
    dumps.push_back(to_json(evaluation, Constants{}, curves, {}).dump());
  }
  CHECK(dumps[0] == dumps[1]);
}

}  // namespace tmem::lab::policies
