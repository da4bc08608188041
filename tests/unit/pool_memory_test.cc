// SPDX-License-Identifier: GPL-2.0-or-later
// The pool's memory where it is tmemd's own.
#include "tmemd/pool_memory.h"

#include <catch2/catch.hpp>

namespace tmem {
namespace {

Result<std::unique_ptr<PoolMemory>> open(const control::Config& config) {
  return PoolMemory::open(config, /*may_use_xen=*/false, [](LogKind, const std::string&) {});
}

}  // namespace

TEST_CASE("a pool without a size that falls back to own memory must keep the guarantees",
          "[pool]") {
  control::Config config;
  REQUIRE(config.pool.provider == control::PoolConfig::Provider::kAuto);
  config.defaults.guarantee_bytes = 200 * kMiB;
  const auto pool = open(config);
  REQUIRE(pool);
  CHECK((*pool)->budget_bytes() == 256 * kMiB);
  config.defaults.guarantee_bytes = kGiB;
  const auto refused = open(config);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kMalformed);
  CHECK_THAT(refused.error().message, Catch::Contains("need 1030M, the pool has 256M"));
}

}  // namespace tmem
