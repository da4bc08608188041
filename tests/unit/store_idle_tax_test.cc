// SPDX-License-Identifier: GPL-2.0-or-later
// The idle tax on a real store: a guest that streams through its files beside one that reads its
// own again and again.
#include "policy/idle_tax.h"
#include "tests/unit/store_world.h"

namespace tmem::store {
namespace {

constexpr uint64_t kBudget = 32 * kMiB;
constexpr uint32_t kBudgetPages = kBudget / kPageBytes;
constexpr uint32_t kWorkingSetPages = kBudgetPages * 7 / 10;  // more than half: its share by weight
constexpr uint32_t kMinutes = 6;
constexpr uint32_t kRoundsPerMinute = 12'000;  // each guest once a round

struct Outcome {
  double hit_ratio = 0;  // of the last minute
  double share = 0;      // of the ephemeral memory
};

class Guests {
 public:
  Outcome run(bool taxed) {
    Outcome outcome;
    for (uint32_t minute = 0; minute < kMinutes; ++minute) {
      hits_ = gets_ = 0;
      for (uint32_t round = 0; round < kRoundsPerMinute; ++round) one_round(round);
      if (taxed) collect();
    }
    outcome.hit_ratio = static_cast<double>(hits_) / gets_;
    const auto own = static_cast<double>(world_.charged(reader_, Kind::kEphemeral));
    outcome.share = own / (own + static_cast<double>(world_.charged(streamer_, Kind::kEphemeral)));
    return outcome;
  }
  ClientSettings settings(bool of_streamer) const {
    return world_.store->settings(of_streamer ? *streamer_ : *reader_);
  }

 private:
  void one_round(uint32_t round) {
    // A page that is got is the guest's again; it puts it when its page cache drops it.
    const uint32_t page = rng_.below(kWorkingSetPages);
    Page buffer;
    ++gets_;
    if (world_.store->get(world_.worker, *reader_, key(0, 1, page), buffer) == Status::kOk) ++hits_;
    (void)world_.put(reader_, key(0, 1, page), noise(page));
    (void)world_.put(streamer_, key(0, streamed_ / 1024, static_cast<uint32_t>(streamed_ % 1024)),
                     noise(1'000'000 + streamed_));
    ++streamed_;
    if (round % 64 == 0) {
      world_.clock.advance_ms(60'000 * 64 / kRoundsPerMinute);
      (void)world_.store->maintain(world_.worker, 4);
    }
  }
  void collect() {
    std::vector<policy::TaxInput> inputs;
    const std::array<ClientRef, 2> clients = {reader_, streamer_};
    for (const ClientRef& client : clients) {
      const ClientStats stats = world_.store->client_stats(*client);
      policy::TaxInput input;
      input.client = {stats.number, Store::epoch(*client)};
      input.weight = stats.settings.weight;
      input.use.ephemeral_puts = stats.counters.puts_ok - stats.counters.persistent_puts;
      input.use.ephemeral_hits = stats.counters.hits - stats.counters.persistent_hits;
      inputs.push_back(input);
    }
    const std::vector<uint32_t> weights = tax_.weights(inputs);
    for (size_t i = 0; i < clients.size(); ++i) world_.store->tax(*clients[i], weights[i]);
  }

  World world_{{.budget_bytes = kBudget}};
  ClientRef reader_ = world_.add(1, {});
  ClientRef streamer_ = world_.add(2, {});
  model::Rng rng_{1};
  policy::IdleTax tax_;
  uint64_t streamed_ = 0;
  uint32_t hits_ = 0;
  uint32_t gets_ = 0;
};

}  // namespace

TEST_CASE("a guest that never gets its pages does not displace one that does") {
  const Outcome without = Guests().run(false);
  Guests guests;
  const Outcome with = guests.run(true);
  std::printf(
      "hit ratio of the re-reader: %.3f without the tax, %.3f with it; its share %.2f, "
      "%.2f\n",
      without.hit_ratio, with.hit_ratio, without.share, with.share);
  CHECK(without.share < 0.55);
  CHECK(with.hit_ratio > 0.95);
  CHECK(with.hit_ratio > without.hit_ratio + 0.2);
  // What the administrator set stays what it was.
  CHECK(guests.settings(true).weight == ClientSettings{}.weight);
  CHECK(guests.settings(false).weight == ClientSettings{}.weight);
}

TEST_CASE("setting a weight ends its tax") {
  World w;
  const ClientRef client = w.add(1, {});
  w.store->tax(*client, 10);
  CHECK(w.store->client_stats(*client).effective_weight == 10);
  CHECK(w.store->client_stats(*client).settings.weight == 100);
  w.store->tax(*client, 1'000'000);  // never above what was set
  CHECK(w.store->client_stats(*client).effective_weight == 100);
  w.store->tax(*client, 10);
  ClientSettings settings;
  settings.weight = 400;
  REQUIRE(w.store->configure(*client, settings));
  CHECK(w.store->client_stats(*client).effective_weight == 400);
}

TEST_CASE("counters tell ephemeral pages from persistent ones") {
  World w;
  const ClientRef client = w.add(1, {});
  for (uint32_t i = 0; i < 3; ++i) {
    CHECK(w.put(client, key(0, 1, i), noise(i)) == Status::kOk);
    if (i < 2) CHECK(w.put(client, key(1, 1, i), noise(i)) == Status::kOk);
  }
  Page buffer;
  CHECK(w.store->get(w.worker, *client, key(0, 1, 0), buffer) == Status::kOk);
  CHECK(w.store->get(w.worker, *client, key(0, 1, 0), buffer) == Status::kMiss);
  for (int i = 0; i < 4; ++i)
    CHECK(w.store->get(w.worker, *client, key(1, 1, 0), buffer) == Status::kOk);
  CHECK(w.store->get(w.worker, *client, key(1, 1, 9), buffer) == Status::kMiss);
  const ClientCounters counters = w.store->client_stats(*client).counters;
  CHECK(counters.puts == 5);
  CHECK(counters.puts_ok == 5);
  CHECK(counters.persistent_puts == 2);
  CHECK(counters.gets == 7);
  CHECK(counters.hits == 5);
  CHECK(counters.persistent_hits == 4);
  CHECK(counters.ephemeral_misses == 1);
}

}  // namespace tmem::store
