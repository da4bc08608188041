// SPDX-License-Identifier: GPL-2.0-or-later
// Who loses pages when memory is short: the corrected weighted FIFO.
#include <cmath>
#include <vector>

#include "tests/unit/store_world.h"

namespace tmem::store {
namespace {

constexpr uint64_t kBudget = 128 * kMiB;
constexpr uint32_t kBudgetPages = kBudget / kPageBytes;

ClientSettings weighted(uint32_t weight) {
  ClientSettings settings;
  settings.weight = weight;
  return settings;
}

// Clients that put fresh ephemeral pages, each at its own rate.
class Guests {
 public:
  explicit Guests(const std::vector<ClientSettings>& settings) : w({.budget_bytes = kBudget}) {
    for (size_t i = 0; i < settings.size(); ++i)
      clients.push_back(w.add(static_cast<uint8_t>(i + 1), settings[i]));
  }

  // `pages` puts in all, spread by `rates`; `common_percent` of them have contents that every
  // client puts. The clock runs at 100 puts a millisecond.
  void demand(const std::vector<uint32_t>& rates, uint32_t pages, uint32_t common_percent = 0) {
    uint32_t sum = 0;
    for (const uint32_t rate : rates) sum += rate;
    for (uint32_t i = 0; i < pages; ++i) {
      uint32_t pick = rng.below(sum);
      size_t client = 0;
      while (pick >= rates[client]) pick -= rates[client++];
      const uint32_t number = next[client]++;
      const uint64_t content =
          number % 100 < common_percent ? number : (client + 1) * 1'000'000'000ull + number;
      (void)w.put(clients[client], key(0, number / 1024, number), noise(content));
      if (i % 100 == 0) w.clock.advance_ms(1);
      if (i % 200 == 0) (void)w.store->maintain(w.worker, 4);
    }
  }

  double share(size_t client) {
    uint64_t sum = 0;
    for (const ClientRef& c : clients) sum += w.charged(c, Kind::kEphemeral);
    return static_cast<double>(w.charged(clients[client], Kind::kEphemeral)) /
           static_cast<double>(sum);
  }

  // Largest relative distance of the shares from the weights.
  double worst_deviation(const std::vector<double>& weights) {
    double sum = 0;
    double worst = 0;
    for (const double weight : weights) sum += weight;
    for (size_t i = 0; i < weights.size(); ++i) {
      const double off = std::abs(share(i) * sum / weights[i] - 1);
      CAPTURE(i, share(i), off);
      worst = std::max(worst, off);
    }
    return worst;
  }

  World w;
  std::vector<ClientRef> clients;
  std::array<uint32_t, 4> next{};
  model::Rng rng{7};
};

}  // namespace

TEST_CASE("shares follow the weights 1:2:4", "[store][scheduler]") {
  Guests guests({weighted(1), weighted(2), weighted(4)});
  SECTION("equal rates") {
    guests.demand({1, 1, 1}, kBudgetPages * 4);
    CHECK(guests.worst_deviation({1, 2, 4}) <= 0.05);
  }
  SECTION("rates 10:1 against the weights") {
    guests.demand({10, 4, 1}, kBudgetPages * 12);
    CHECK(guests.worst_deviation({1, 2, 4}) <= 0.05);
  }
  SECTION("half the contents in common, own scope") {
    guests.demand({1, 1, 1}, kBudgetPages * 4, 50);
    CHECK(guests.worst_deviation({1, 2, 4}) <= 0.05);
  }
  CHECK(guests.w.store->stats().held_bytes <= kBudget);
  CHECK(guests.w.store->stats().held_bytes >= kBudget * 85 / 100);
  CHECK(guests.w.invariants() == "hold");
}

TEST_CASE("shares follow the weights with contents shared across clients", "[store][scheduler]") {
  std::vector<ClientSettings> settings = {weighted(1), weighted(2), weighted(4)};
  for (ClientSettings& s : settings) s.dedup = DedupScope::kHost;
  Guests guests(settings);
  guests.demand({1, 1, 1}, kBudgetPages * 6, 50);
  CHECK(guests.worst_deviation({1, 2, 4}) <= 0.05);
  CHECK(guests.w.invariants() == "hold");
}

TEST_CASE("shares follow a change of the weights", "[store][scheduler]") {
  Guests guests({weighted(1), weighted(2), weighted(4)});
  guests.demand({1, 1, 1}, kBudgetPages * 3);
  const std::array<uint32_t, 3> turned = {4, 2, 1};
  for (size_t i = 0; i < 3; ++i)
    REQUIRE(guests.w.store->configure(*guests.clients[i], weighted(turned[i])));
  guests.demand({1, 1, 1}, kBudgetPages * 4);
  CHECK(guests.worst_deviation({4, 2, 1}) <= 0.05);
}

TEST_CASE("the share of a dead client goes to the living by weight", "[store][scheduler]") {
  Guests guests({weighted(1), weighted(2), weighted(4)});
  guests.demand({1, 1, 1}, kBudgetPages * 3);
  guests.w.store->remove_client(*guests.clients[2]);
  guests.clients.pop_back();
  guests.demand({1, 1}, kBudgetPages * 4);
  CHECK(guests.worst_deviation({1, 2}) <= 0.05);
}

TEST_CASE("an idle client's share is lent and returns on demand", "[store][scheduler]") {
  Guests guests({weighted(1), weighted(4)});
  guests.demand({1, 0}, kBudgetPages * 2);
  CHECK(guests.share(0) >= 0.99);
  CHECK(guests.w.charged(guests.clients[0], Kind::kEphemeral) >= kBudget * 85 / 100);
  // The lender puts one and a half times what it is entitled to; the borrower goes on as before.
  guests.demand({1, 1}, kBudgetPages * 12 / 5);
  CHECK(guests.worst_deviation({1, 4}) <= 0.05);
  // The weight is a share of demand, not a fence: idle again, its pages stay until needed.
  const ClientStats stats = guests.w.store->client_stats(*guests.clients[1]);
  CHECK(stats.entitled_bytes > kBudget * 6 / 10);
}

TEST_CASE("weight 0 has memory only while it is free", "[store][scheduler]") {
  Guests guests({weighted(0), weighted(100)});
  guests.demand({1, 0}, kBudgetPages / 2);
  CHECK(guests.w.pages(guests.clients[0], Kind::kEphemeral) == kBudgetPages / 2);
  guests.demand({1, 1}, kBudgetPages * 4);
  CHECK(guests.share(0) <= 0.05);
}

TEST_CASE("the oldest pages of a client go first", "[store][scheduler]") {
  Guests guests({weighted(100)});
  guests.demand({1}, kBudgetPages * 2);
  const ClientRef& c = guests.clients[0];
  uint32_t young = 0;
  uint32_t old = 0;
  for (uint32_t i = 0; i < kBudgetPages / 2; ++i) {
    const uint32_t newest = kBudgetPages * 2 - 1 - i;
    young += guests.w.get(c, key(0, newest / 1024, newest)) == Status::kOk;
    old += guests.w.get(c, key(0, i / 1024, i)) == Status::kOk;
  }
  CHECK(young == kBudgetPages / 2);
  CHECK(old == 0);
}

TEST_CASE("a client below its share loses nothing to one above it", "[store][scheduler]") {
  Guests guests({weighted(100), weighted(100)});
  guests.demand({1, 0}, kBudgetPages / 4);  // half its share
  guests.demand({0, 1}, kBudgetPages * 3);
  CHECK(guests.w.pages(guests.clients[0], Kind::kEphemeral) == kBudgetPages / 4);
  CHECK(guests.w.store->client_stats(*guests.clients[0]).counters.evicted_pages == 0);
  CHECK(guests.w.store->client_stats(*guests.clients[1]).counters.evicted_pages > 0);
}

TEST_CASE("pages of a shared pool that are hit are not dropped with their age",
          "[store][scheduler][shared]") {
  World w({.budget_bytes = 32 * kMiB});
  const ClientRef c = w.add(1);
  w.store->authorise_shared({uuid_of(9), uuid_of(1)}, true);
  REQUIRE(w.store->create_pool(*c, PoolId{8}, shared_pool(9)) == Status::kOk);
  constexpr uint32_t kHot = 50;
  for (uint32_t i = 0; i < kHot; ++i) REQUIRE(w.put(c, key(8, 1, i), noise(i)) == Status::kOk);
  for (uint32_t i = 0; i < 24'000; ++i) {
    REQUIRE(w.put(c, key(8, 2, i), noise(1000 + i)) == Status::kOk);
    if (i % 200 == 0)
      for (uint32_t hot = 0; hot < kHot; ++hot) (void)w.get(c, key(8, 1, hot));
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i < kHot; ++i) kept += w.get_is(c, key(8, 1, i), noise(i));
  CHECK(kept == kHot);
  CHECK(w.get(c, key(8, 2, 0)) == Status::kMiss);
}

}  // namespace tmem::store
