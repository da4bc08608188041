// SPDX-License-Identifier: GPL-2.0-or-later
// What our strategy reckons with for others: no more than a guest could be given, and what it has
// where its balloon does not move.
#include <catch2/catch.hpp>

#include "policy/selfballoon_psi.h"
#include "tests/unit/policy_guests.h"

namespace tmem::policy {
namespace {

using testing::guest;
using testing::target_of;

constexpr double kHarmless = 0.001;

HostView host(uint64_t now_ms, uint64_t total_mib, uint64_t pool_mib) {
  HostView view = testing::host(total_mib, 0);
  view.now_ms = now_ms;
  view.has_pool = pool_mib > 0;
  view.pool_held_bytes = view.pool_freeable_bytes = pool_mib * kMiB;
  return view;
}

Estimate calm(const testing::Guest& what) {
  Estimate estimate = guest(what);
  estimate.report = ReportState::kFresh;
  estimate.sample->available_bytes = estimate.sample->total_bytes / 2;
  return estimate;
}

// After `ticks` of a second in which guests with a balloon have what was wished.
uint64_t mib_after(SelfballoonPsi& strategy, std::vector<Estimate>& guests, uint64_t total_mib,
                   uint64_t pool_mib, int ticks, uint32_t id) {
  for (int i = 1; i <= ticks; ++i) {
    HostView view = host(1000 * static_cast<uint64_t>(i), total_mib, pool_mib);
    testing::obey(strategy.plan(view, guests), guests, view);
  }
  for (const Estimate& estimate : guests)
    if (estimate.facts.id == GuestId{id}) return estimate.facts.actual_bytes / kMiB;
  return 0;
}

}  // namespace

TEST_CASE("policy selfballoon+psi: what a fixed guest has is nobody else's") {
  SelfballoonPsi strategy(kHarmless);
  std::vector guests = {calm({1, 64, 4096, 2048}), calm({2, 64, 2048, 1536}),
                        calm({3, 64, 2048, 512})};
  guests[0].facts.can_balloon = false;
  guests[0].sample->free_bytes = 1536 * kMiB;  // by its report it needs a quarter
  guests[1].sample->available_bytes = 100 * kMiB;
  guests[2].rates.some_ratio = 0.5;  // needs more and more
  // 4096 in all: the third can only have what the second gives.
  CHECK(mib_after(strategy, guests, 4096, 0, 60, 3) > 900);
}

TEST_CASE("policy selfballoon+psi: nobody yields to a fixed guest, whatever it says") {
  const auto second_after_a_minute = [](bool pressed) {
    SelfballoonPsi strategy(kHarmless);
    std::vector guests = {calm({1, 64, 4096, 1024}), calm({2, 64, 1024, 900})};
    guests[0].facts.can_balloon = false;
    guests[0].rates.some_ratio = pressed ? 1 : 0;
    return mib_after(strategy, guests, 2048, 0, 60, 2);
  };
  CHECK(second_after_a_minute(true) == second_after_a_minute(false));
}

TEST_CASE("policy selfballoon+psi: nobody yields what a liar cannot be given") {
  const auto neighbour_after_a_minute = [](double some_ratio) {
    SelfballoonPsi strategy(kHarmless);
    // Each is entitled to 1366 of 4096 MiB.
    std::vector guests = {calm({1, 64, 4096, 1366}), calm({2, 64, 4096, 1000}),
                          calm({3, 64, 4096, 1000})};
    guests[0].rates.some_ratio = some_ratio;
    return mib_after(strategy, guests, 4096, 64, 60, 2);
  };
  CHECK(neighbour_after_a_minute(1) == neighbour_after_a_minute(0));
}

TEST_CASE("policy selfballoon+psi: a strategy that begins anew leaves a while what was borrowed") {
  SelfballoonPsi strategy(kHarmless);
  // Shares are 512; the first had proven its need to the strategy before this one.
  std::vector guests = {calm({1, 64, 1024, 800}), calm({2, 64, 1024, 200})};
  guests[0].rates.some_ratio = 0.5;
  CHECK(mib_after(strategy, guests, 1024, 32, 2, 1) > 750);
  CHECK(mib_after(strategy, guests, 1024, 32, 300, 1) < 540);
}

TEST_CASE("policy selfballoon+psi: a knob of zero holds no pressure for harmless") {
  SelfballoonPsi strategy(0);
  std::vector guests = {calm({1, 64, 1024, 512}), calm({2, 64, 1024, 512})};
  guests[1].rates.some_ratio = 0.5;
  CHECK(mib_after(strategy, guests, 1024, 0, 60, 1) == 512);
}

}  // namespace tmem::policy
