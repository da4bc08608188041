// SPDX-License-Identifier: GPL-2.0-or-later
// Sums by hand, in MiB; 0.999 of a sum in bytes, rounded down.
#include <catch2/catch.hpp>

#include "policy/baselines/qmemman.h"
#include "policy/baselines/qmemman_balance.h"
#include "tests/unit/policy_guests.h"

namespace tmem::policy::baselines {
namespace {

using qmemman::Domain;
using qmemman::Request;
using qmemman::Sign;
using testing::obey;
using testing::target_of;

Domain domain(uint32_t id, int64_t pref_mib, int64_t actual_mib, int64_t max_mib) {
  constexpr int64_t kMib = kMiB;
  return {GuestId{id},
          actual_mib * kMib,
          actual_mib * kMib,
          actual_mib * kMib,
          max_mib * kMib,
          pref_mib * kMib,
          true};
}

int64_t bytes_for(const std::vector<Request>& requests, uint32_t id) {
  for (const Request& request : requests)
    if (request.id == GuestId{id}) return request.bytes;
  return -1;
}

Estimate using_mib(testing::Guest guest, uint64_t used_mib) {
  Estimate estimate = testing::guest(guest);
  estimate.sample->free_bytes = (guest.actual_mib - used_mib) * kMiB;
  return estimate;
}

double mib(std::optional<uint64_t> bytes) {
  REQUIRE(bytes);
  return static_cast<double>(*bytes) / static_cast<double>(kMiB);
}

HostView host_with(double free_mib) {  // after Xen's overhead
  HostView host;
  host.total_bytes = 16 * kGiB;
  host.free_bytes = static_cast<uint64_t>(free_mib * 1.00781 * static_cast<double>(kMiB)) + 1;
  return host;
}

}  // namespace

TEST_CASE("qmemman: what a guest prefers") {
  constexpr int64_t kMib = kMiB;
  CHECK(qmemman::preferred_bytes(1000 * kMib, 4000 * kMib, 1.3) == 1300 * kMib);
  CHECK(qmemman::preferred_bytes(1000 * kMib, 1100 * kMib, 1.3) == 1100 * kMib);
  CHECK(qmemman::preferred_bytes(100 * kMib, 1100 * kMib, 1.3) == 200 * kMib);
}

TEST_CASE("qmemman: with enough, the rest is shared in proportion to what is preferred") {
  // 500 free, and guest 1 has 200 too many: 700. 200 + 2/5 * 700 = 480, 300 + 3/5 * 700 = 720.
  const std::vector two = {domain(1, 200, 400, 1000), domain(2, 300, 300, 1000)};
  const auto requests = qmemman::balance(500 * kMiB, two, Sign::kAsShipped);
  CHECK(bytes_for(requests, 1) == 502813163);  // 0.999 * 503316480
  CHECK(bytes_for(requests, 2) == 754219745);  // 0.999 * 754974720

  // Guest 2 may have only 600 = 629145600. 125074145 remain, 0.999 of it for guest 1: 124949070.
  const std::vector capped = {domain(1, 200, 400, 1000), domain(2, 300, 300, 600)};
  const auto spread = qmemman::balance(500 * kMiB, capped, Sign::kAsShipped);
  CHECK(bytes_for(spread, 1) == 627762233);
  CHECK(bytes_for(spread, 2) == 629145600);
}

TEST_CASE("qmemman: donors come first") {
  const std::vector two = {domain(1, 900, 500, 2000), domain(2, 200, 1400, 2000)};
  const auto requests = qmemman::balance(0, two, Sign::kAsShipped);
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].id == GuestId{2});
}

TEST_CASE("qmemman: when low, the sign of what donors give decides who gets it") {
  // 50 free; guest 1 can give 300, guest 2 prefers 400 more: 50 are missing.
  const std::vector two = {domain(1, 200, 500, 1000), domain(2, 800, 400, 1000)};
  // As shipped: the pot is 50 - 300, less than nothing: guest 2 goes without.
  const auto shipped = qmemman::balance(50 * kMiB, two, Sign::kAsShipped);
  CHECK(bytes_for(shipped, 1) == 200 * static_cast<int64_t>(kMiB));
  CHECK(bytes_for(shipped, 2) == -1);
  // Fixed: 50 + 300, all for guest 2: 750 = 786432000.
  const auto fixed = qmemman::balance(50 * kMiB, two, Sign::kFixed);
  CHECK(bytes_for(fixed, 1) == 200 * static_cast<int64_t>(kMiB));
  CHECK(bytes_for(fixed, 2) == 785645568);
}

TEST_CASE("qmemman: a surplus below 10 MiB is not asked for") {
  // Then the pot is the free 50 with either sign: 450 = 471859200.
  const std::vector two = {domain(1, 495, 500, 1000), domain(2, 800, 400, 1000)};
  for (const Sign sign : {Sign::kAsShipped, Sign::kFixed}) {
    const auto requests = qmemman::balance(50 * kMiB, two, sign);
    CHECK(bytes_for(requests, 1) == -1);
    CHECK(bytes_for(requests, 2) == 471387340);
  }
}

TEST_CASE("qmemman: two acceptors share the pot by what they prefer; a maximum holds") {
  // Pot 90: guest 1 prefers 600, guest 2 300: 60 and 30. 360 = 377487360 and 130, but at most 110.
  const std::vector two = {domain(1, 600, 300, 1000), domain(2, 300, 100, 110)};
  const auto requests = qmemman::balance(90 * kMiB, two, Sign::kAsShipped);
  CHECK(bytes_for(requests, 1) == 377109872);
  CHECK(bytes_for(requests, 2) == 110 * static_cast<int64_t>(kMiB));
}

TEST_CASE("qmemman: a round begins with news that matter, and is sent when it matters") {
  const auto strategy = make_qmemman(1.3);
  std::vector guests = {using_mib({1, 0, 4000, 1000}, 500)};
  HostView host = host_with(950);
  // Prefers 650, has 350 too many; 900 are to give: 0.999 * (650 + 1250).
  Plan plan = strategy->plan(host, guests);
  CHECK(mib(target_of(plan, 1)) == Approx(1898.1));
  obey(plan, guests, host);
  guests[0].sample->free_bytes += guests[0].facts.actual_bytes - 1000 * kMiB;  // uses what it did
  CHECK(strategy->plan(host, guests).wishes.empty());                          // no news

  // 50 + 8.9 are free. 31000 KiB more used are news, but would move only 7 MiB.
  guests[0].sample->free_bytes -= 31'000 * kKiB;
  CHECK(strategy->plan(host, guests).wishes.empty());
  // 300 more are free: that would matter, but 20000 KiB are no news; 40000 are.
  host.free_bytes += 300 * kMiB;
  guests[0].sample->free_bytes -= 20'000 * kKiB;
  CHECK(strategy->plan(host, guests).wishes.empty());
  guests[0].sample->free_bytes -= 20'000 * kKiB;
  CHECK(target_of(strategy->plan(host, guests), 1));
}

TEST_CASE("qmemman: a guest that is nearly full is heard earlier when it grows") {
  // 1024000 KiB, nearly full from 787710 (10/13 of it).
  for (const auto& [used_kib, heard] : {std::pair{700'000, false}, std::pair{790'000, true}}) {
    const auto strategy = make_qmemman(1.3);
    std::vector guests = {testing::guest({1, 0, 4000, 1000})};
    guests[0].sample->free_bytes = (1'024'000 - used_kib + 16'000) * kKiB;
    HostView host = host_with(5000);  // so much: every round is sent
    CHECK(target_of(strategy->plan(host, guests), 1));
    guests[0].sample->free_bytes -= 14'000 * kKiB;
    CHECK_FALSE(target_of(strategy->plan(host, guests), 1));
    guests[0].sample->free_bytes -= 2'000 * kKiB;
    CHECK(target_of(strategy->plan(host, guests), 1).has_value() == heard);
  }
}

// Guest 1 has 1000, uses 300, prefers 390; guest 2 has 500 and 200 in swap, prefers 910. Nothing is
// free beyond 50: 610 - 410 = 200 to share, 3 to 7: 0.999 * 450 and 0.999 * 1050.
struct TwoGuests {
  std::vector<Estimate> guests = {using_mib({1, 0, 2000, 1000}, 300),
                                  using_mib({2, 0, 2000, 500}, 500)};
  HostView host = host_with(50);
  std::unique_ptr<Strategy> strategy = make_qmemman(1.3);

  TwoGuests() { guests[1].sample->swap_used_bytes = 200 * kMiB; }
  Plan tick() { return strategy->plan(host, guests); }
};

TEST_CASE("qmemman: an acceptor waits until donors gave") {
  TwoGuests world;
  Plan plan = world.tick();
  CHECK(mib(target_of(plan, 1)) == Approx(449.55));
  CHECK_FALSE(target_of(plan, 2));
  world.guests[0].facts.target_bytes = *target_of(plan, 1);
  CHECK(world.tick().wishes.empty());
  obey(plan, world.guests, world.host);
  // 50 + 550.45/1.00781 - 548.95 = 47.2 stay free, more than 45.
  plan = world.tick();
  CHECK(mib(target_of(plan, 2)) == Approx(1048.95));
}

TEST_CASE("qmemman: after five waits it gives what there is, and leaves out who did not move") {
  TwoGuests world;
  world.guests[0].facts.target_bytes = *target_of(world.tick(), 1);
  for (int wait = 2; wait <= 5; ++wait) CHECK(world.tick().wishes.empty());
  Plan plan = world.tick();
  CHECK(mib(target_of(plan, 2)) == Approx(500));  // nothing
  // 198.4 more free and news of guest 2: guest 1 is not asked. 0.999 * (500 + 198.4).
  world.host = host_with(248.4);
  world.guests[1].sample->swap_used_bytes += 40 * kMiB;
  plan = world.tick();
  CHECK(mib(target_of(plan, 2)) == Approx(697.7).epsilon(1e-4));
  CHECK_FALSE(target_of(plan, 1));
  // It moved after all: it takes part again.
  obey(plan, world.guests, world.host);
  world.guests[0].facts.actual_bytes = world.guests[0].facts.target_bytes;
  world.host = host_with(600);
  world.guests[1].sample->swap_used_bytes += 40 * kMiB;
  CHECK(target_of(world.tick(), 1));
}

TEST_CASE("qmemman: no report or no balloon, no request") {
  TwoGuests world;
  world.guests[0].sample.reset();
  world.guests[1].facts.can_balloon = false;
  world.host = host_with(5000);
  CHECK(world.tick().wishes.empty());
}

}  // namespace tmem::policy::baselines
