// SPDX-License-Identifier: GPL-2.0-or-later
// Sums by hand, in MiB.
#include <catch2/catch.hpp>

#include "policy/baselines/mom.h"
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

// Of two samples, the second of which is a round; nothing changes between.
Plan round(const HostView& view, const std::vector<Estimate>& guests, double knob = 0.2) {
  const auto mom = make_mom(knob);
  CHECK(mom->plan(view, guests).wishes.empty());
  return mom->plan(view, guests);
}

double mib(std::optional<uint64_t> bytes) {
  REQUIRE(bytes);
  return static_cast<double>(*bytes) / static_cast<double>(kMiB);
}

}  // namespace

TEST_CASE("mom: under pressure a guest goes towards what it uses, by 5 % at most") {
  const std::vector guests = {
      with_free(guest({1, 100, 4000, 2000}), 1000),  // 1000 + 0.1*2000 = 1200: 5 % first, 1900
      with_free(guest({2, 100, 4000, 2000}), 260),   // 1740 + 200 = 1940
      with_free(guest({3, 100, 4000, 2000}), 203),   // 1797 + 200 = 1997: by less than 0.25 %
      with_free(guest({4, 100, 4000, 2000}), 50),    // 1950 + 200 = 2150: no growing now
      with_free(guest({5, 1950, 4000, 2000}), 1000)  // its minimum
  };
  // 10 % of the host free: g = 0.20 * 0.10/0.20 = 0.10.
  const Plan plan = round(host(20000, 2000), guests);
  CHECK(mib(target_of(plan, 1)) == Approx(1900));
  CHECK(mib(target_of(plan, 2)) == Approx(1940));
  CHECK_FALSE(target_of(plan, 3));
  CHECK_FALSE(target_of(plan, 4));
  CHECK(mib(target_of(plan, 5)) == Approx(1950));
}

TEST_CASE("mom: in want a guest gets less than it uses") {
  // 2 % free: g = 0.02 - 0.05 = -0.03. Nothing unused: 2000 - 60 = 1940. At 10 %: 2200, no change.
  const std::vector guests = {with_free(guest({1, 100, 4000, 2000}), 0)};
  CHECK(mib(target_of(round(host(20000, 400), guests), 1)) == Approx(1940));
  CHECK_FALSE(target_of(round(host(20000, 2000), guests), 1));
  // Exactly 5 % is want: g = 0, so 1940 of a guest with 60 unused; 0.05 would make that 2040.
  const std::vector some = {with_free(guest({1, 100, 4000, 2000}), 60)};
  CHECK(mib(target_of(round(host(20000, 1000), some), 1)) == Approx(1940));
}

TEST_CASE("mom: a host with room lets guests grow") {
  const std::vector guests = {
      with_free(guest({1, 100, 4000, 2000}), 1000),  // 5 %: 2100
      with_free(guest({2, 100, 4000, 2000}), 200),   // 1800 + 0.2*2000 = 2200
      with_free(guest({3, 100, 2150, 2000}), 200),   // the same, but its maximum
      with_free(guest({4, 100, 2000, 2000}), 0),     // has its maximum
      guest({5, 100, 4000, 2000}),                   // no report
      guest({6, 100, 4000, 2000})                    // no balloon driver
  };
  std::vector<Estimate> all = guests;
  all[4].sample.reset();
  all[5].facts.can_balloon = false;
  const Plan plan = round(host(20000, 4000), all);
  CHECK(mib(target_of(plan, 1)) == Approx(2100));
  CHECK(mib(target_of(plan, 2)) == Approx(2200));
  CHECK(mib(target_of(plan, 3)) == Approx(2150));
  CHECK_FALSE(target_of(plan, 4));
  CHECK_FALSE(target_of(plan, 5));
  CHECK_FALSE(target_of(plan, 6));
}

TEST_CASE("mom: what the pool can give back is free; a lower share shrinks guests further") {
  const std::vector guests = {with_free(guest({1, 100, 4000, 2000}), 120)};
  HostView view = host(20000, 500);
  view.pool_freeable_bytes = 1500 * kMiB;
  // 10 % free. At 0.2: 1880 + 200, no change. At 0.05: g = 0.025: 1880 + 50 = 1930.
  CHECK_FALSE(target_of(round(view, guests), 1));
  CHECK(mib(target_of(round(view, guests, 0.05), 1)) == Approx(1930));
}

TEST_CASE("mom: the last ten samples count, in rounds of two") {
  const std::vector guests = {with_free(guest({1, 100, 4000, 2000}), 1000)};
  // After two samples with nothing free, eight of ten still say 25.5 % or 24.8 %: in the average
  // 20.4 % and 19.84 %.
  for (const auto& [free_mib, expected_mib] : {std::pair{5100, 2100}, std::pair{4960, 1900}}) {
    const auto mom = make_mom(0.2);
    for (int i = 0; i < 10; ++i) {
      const Plan plan = mom->plan(host(20000, free_mib), guests);
      CHECK(plan.wishes.size() == (i % 2 == 1 ? 1 : 0));
    }
    CHECK(mom->plan(host(20000, 0), guests).wishes.empty());
    CHECK(mib(target_of(mom->plan(host(20000, 0), guests), 1)) == Approx(expected_mib));
  }
}

}  // namespace tmem::policy::baselines
