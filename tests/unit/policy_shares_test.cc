// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <numeric>

#include "policy/shares.h"
#include "tests/model/rng.h"

namespace tmem::policy {

using Given = std::vector<uint64_t>;

TEST_CASE("policy shares: all is met where there is enough") {
  const std::vector<Claim> claims = {{0, 100, 1, 0}, {10, 50, 1, 0}};
  CHECK(share(claims, 1000) == Given{100, 50});
}

TEST_CASE("policy shares: who asks for little gets it, the rest is shared by weight") {
  const std::vector<Claim> claims = {{0, 1000, 300, 0}, {0, 1000, 100, 0}, {0, 20, 100, 0}};
  CHECK(share(claims, 420) == Given{300, 100, 20});
}

TEST_CASE("policy shares: the least comes first, whatever the priority") {
  const std::vector<Claim> claims = {{100, 1000, 1, 0}, {50, 1000, 1, 5}};
  CHECK(share(claims, 400) == Given{100, 300});
  CHECK(share(claims, 100) == Given{100, 50});
}

TEST_CASE("policy shares: max-min fair for anything") {
  model::Rng rng(3);
  for (int round = 0; round < 5000; ++round) {
    std::vector<Claim> claims;
    const uint64_t count = 1 + rng.below(6);
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t least = rng.below(100);
      claims.push_back({least, least + rng.below(1000), static_cast<uint32_t>(rng.below(4)), 0});
    }
    const uint64_t total = rng.below(3000);
    const Given given = share(claims, total);
    uint64_t sum = 0;
    uint64_t least = 0;
    for (size_t i = 0; i < claims.size(); ++i) {
      sum += given[i];
      least += claims[i].least_bytes;
      CHECK(given[i] >= claims[i].least_bytes);
      CHECK(given[i] <= claims[i].wanted_bytes);
    }
    CHECK(sum <= std::max(total, least));
    // Who was not met got no less by weight than anybody else, but for rounding.
    for (size_t i = 0; i < claims.size(); ++i) {
      if (given[i] == claims[i].wanted_bytes) continue;
      CHECK(sum + claims.size() >= total);
      for (size_t j = 0; j < claims.size(); ++j) {
        const uint64_t mine = given[i] - claims[i].least_bytes + 3 * claims.size();
        const uint64_t other = given[j] - claims[j].least_bytes;
        CHECK(mine * std::max<uint64_t>(claims[j].weight, 1) >=
              other * std::max<uint64_t>(claims[i].weight, 1));
      }
    }
  }
}

}  // namespace tmem::policy
