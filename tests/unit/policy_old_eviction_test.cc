// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <vector>

#include "policy/baselines/old_eviction.h"

namespace tmem::policy::baselines {
namespace {

constexpr size_t kSmall = 0;
constexpr size_t kBig = 1;
constexpr size_t kOld = 2;

// Pages, weight, oldest put. Entitled to a third each; the third has the oldest page.
const std::vector<EphemeralClient> kClients = {{10, 1, 50}, {80, 1, 60}, {10, 1, 40}};

}  // namespace

TEST_CASE("old eviction: as documented, a requester above its share evicts its own") {
  CHECK(victim_as_documented(kClients, kBig) == kBig);    // 80/100 > 1/3
  CHECK(victim_as_documented(kClients, kSmall) == kOld);  // 10/100 < 1/3
  CHECK(victim_as_documented(kClients, std::nullopt) == kOld);
}

TEST_CASE("old eviction: as shipped, it is the other way round") {
  CHECK(victim_as_shipped(kClients, kBig) == kOld);      // 10000/80 = 125 > 300 is false
  CHECK(victim_as_shipped(kClients, kSmall) == kSmall);  // 10000/10 = 1000 > 300
  CHECK(victim_as_shipped(kClients, std::nullopt) == kOld);
}

TEST_CASE("old eviction: as shipped, in whole hundredths") {
  // 600 pages, a half of the weights: 60000/299 = 200.67, cut to 200, is not above 200; 297: 202.
  const std::vector<EphemeralClient> nearly = {{299, 1, 9}, {301, 1, 5}};
  CHECK(victim_as_shipped(nearly, 0) == 1);
  const std::vector<EphemeralClient> below = {{297, 1, 9}, {303, 1, 5}};
  CHECK(victim_as_shipped(below, 0) == 0);
}

TEST_CASE("old eviction: the corrected rule takes from who has most for its weight") {
  CHECK(victim_corrected(kClients) == kBig);
  // 40 and 60 pages of weights 1 and 3, entitled to 25 and 75.
  const std::vector<EphemeralClient> weighted = {{40, 1, 50}, {60, 3, 20}};
  CHECK(victim_corrected(weighted) == 0);
  // Two are above their share of 25, 25 and 50: 30/1 and 65/1 pages for the weight.
  const std::vector<EphemeralClient> two_above = {{30, 1, 1}, {65, 1, 2}, {5, 2, 3}};
  CHECK(victim_corrected(two_above) == 1);
  // Each has its share: the oldest page of all.
  const std::vector<EphemeralClient> equal = {{25, 1, 7}, {75, 3, 6}};
  CHECK(victim_corrected(equal) == 1);
}

TEST_CASE("old eviction: no weight") {
  // It had no quota, so its requests took the oldest page; corrected, it is entitled to nothing.
  const std::vector<EphemeralClient> clients = {{90, 0, 9}, {10, 1, 5}, {1, 0, 8}};
  CHECK(victim_as_documented(clients, 0) == 1);
  CHECK(victim_as_shipped(clients, 0) == 1);
  CHECK(victim_corrected(clients) == 0);
  // None has a weight: the oldest page of all.
  const std::vector<EphemeralClient> none = {{90, 0, 9}, {10, 0, 5}};
  CHECK(victim_corrected(none) == 1);
}

TEST_CASE("old eviction: no page, no victim") {
  const std::vector<EphemeralClient> empty = {{0, 1, 0}, {0, 0, 0}};
  CHECK_FALSE(victim_as_documented(empty, 0));
  CHECK_FALSE(victim_as_shipped(empty, 0));
  CHECK_FALSE(victim_corrected(empty));
  CHECK_FALSE(victim_corrected({}));
  // Who has none is not chosen, whatever it asks for.
  const std::vector<EphemeralClient> one = {{0, 1, 0}, {5, 1, 3}};
  CHECK(victim_as_shipped(one, 0) == 1);
  CHECK(victim_as_documented(one, 0) == 1);
}

}  // namespace tmem::policy::baselines
