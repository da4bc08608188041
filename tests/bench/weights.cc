// SPDX-License-Identifier: GPL-2.0-or-later
// weights-*: shares of the ephemeral memory after a simulated minute in which clients of weight 1,
// 2 and 4 put more than their share. The value is the largest relative distance of a client's share
// from its entitlement; the goal 5 %.
#include <cmath>
#include <cstring>
#include <random>

#include "tests/bench/benches.h"

namespace tmem::bench {
namespace {

constexpr uint64_t kTickMs = 100;
constexpr uint64_t kMinuteMs = 60'000;

struct Guest {
  store::ClientRef ref;
  uint32_t weight = 1;
  uint64_t puts_per_tick = 0;
  uint64_t next = 0;
  bool alive = true;
};

class Contention {
 public:
  // `shared_percent` of the puts are pages that every client puts too.
  Result<void> open(const Context& context, unsigned shared_percent) {
    shared_percent_ = shared_percent;
    const uint64_t budget = context.settings.smoke ? 16 * kMiB : 64 * kMiB;
    // Enough to fill a minute's share several times over.
    rate_ = budget / kPageBytes * 5 / (kMinuteMs / kTickMs);
    TMEM_TRY(test_,
             TestStore::create({.budget_bytes = budget, .touched = false, .nursery_percent = 10}));
    for (const uint32_t weight : {1U, 2U, 4U}) {
      store::ClientSettings settings;
      settings.weight = weight;
      settings.dedup = shared_percent == 0 ? store::DedupScope::kClient : store::DedupScope::kHost;
      TMEM_TRY(auto ref, test_->add_client("weight" + std::to_string(weight),
                                           store::Kind::kEphemeral, settings));
      guests_.push_back({.ref = std::move(ref), .weight = weight, .puts_per_tick = rate_});
    }
    return {};
  }

  Result<void> run(uint64_t milliseconds) {
    for (uint64_t t = 0; t < milliseconds; t += kTickMs) {
      // Clients take turns in small steps, as their rings would.
      for (uint64_t step = 0; step < 10 * rate_; ++step)
        for (Guest& guest : guests_)
          if (guest.alive && step < guest.puts_per_tick) TMEM_CHECK(put_one(guest));
      test_->clock().advance_ms(kTickMs);
      TMEM_CHECK(test_->drain());
    }
    return {};
  }

  // The largest relative distance from the entitlement among living clients that demand memory.
  double distance() const {
    double weights = 0;
    double bytes = 0;
    for (const Guest& guest : guests_) {
      if (!guest.alive || guest.puts_per_tick == 0) continue;
      weights += guest.weight;
      bytes += used(guest);
    }
    double worst = 0;
    for (const Guest& guest : guests_) {
      if (!guest.alive || guest.puts_per_tick == 0) continue;
      const double entitled = guest.weight / weights;
      worst = std::max(worst, std::abs(used(guest) / bytes - entitled) / entitled);
    }
    return worst;
  }

  Result<void> set_weight(size_t i, uint32_t weight) {
    auto settings = test_->store().settings(*guests_[i].ref);
    settings.weight = weight;
    guests_[i].weight = weight;
    return test_->store().configure(*guests_[i].ref, settings);
  }
  void set_rate(size_t i, double factor) {
    guests_[i].puts_per_tick = static_cast<uint64_t>(static_cast<double>(rate_) * factor);
  }
  void kill(size_t i) {
    test_->store().remove_client(*guests_[i].ref);
    guests_[i].alive = false;
  }
  double used(const Guest& guest) const {
    return static_cast<double>(test_->store().client_stats(*guest.ref).charged_bytes[0]);
  }
  double used(size_t i) const { return used(guests_[i]); }
  double total_used() const {
    double bytes = 0;
    for (const Guest& guest : guests_)
      if (guest.alive) bytes += used(guest);
    return bytes;
  }

 private:
  // Half random, half repeated bytes: compresses about two to one.
  void make_page(uint64_t seed) {
    std::mt19937_64 random(seed);
    for (size_t at = 0; at < kPageBytes; at += 16) {
      const uint64_t word = random();
      std::memcpy(&page_.bytes()[at], &word, 8);
      std::memset(&page_.bytes()[at + 8], 0x41, 8);
    }
  }

  Result<void> put_one(Guest& guest) {
    const uint64_t i = guest.next++;
    const bool shared = i % 100 < shared_percent_;
    make_page(shared ? i : i * 8 + guest.weight + (uint64_t{1} << 40));
    return test_->put(*guest.ref, key_of(i), page_.page(0));
  }

  unsigned shared_percent_ = 0;
  uint64_t rate_ = 0;
  Buffer page_{kPageBytes};
  std::unique_ptr<TestStore> test_;
  std::vector<Guest> guests_;
};

void add_row(const Context& context, const char* id, double distance, const char* note) {
  context.report.add({id, "-", distance, 1, "rel", Goal{0.05, Better::kLower}, note});
}

Result<void> steady(const Context& context) {
  Contention test;
  TMEM_CHECK(test.open(context, 0));
  TMEM_CHECK(test.run(kMinuteMs));
  add_row(context, "weights-equal-rates", test.distance(), "distance from 1/7, 2/7, 4/7");
  TMEM_CHECK(test.set_weight(0, 4));
  TMEM_CHECK(test.set_weight(2, 1));
  TMEM_CHECK(test.run(kMinuteMs));
  add_row(context, "weights-change", test.distance(), "a minute after 1:2:4 became 4:2:1");
  test.kill(0);
  TMEM_CHECK(test.run(kMinuteMs));
  add_row(context, "weights-death", test.distance(), "a minute after one client died");
  return {};
}

Result<void> against_the_weights(const Context& context) {
  Contention test;
  TMEM_CHECK(test.open(context, 0));
  test.set_rate(0, 10);  // weight 1 puts ten times as much as weight 4
  TMEM_CHECK(test.run(kMinuteMs));
  add_row(context, "weights-rates-10-1", test.distance(), "weight 1 puts ten times as much");
  return {};
}

Result<void> shared_contents(const Context& context) {
  Contention test;
  TMEM_CHECK(test.open(context, 50));
  TMEM_CHECK(test.run(kMinuteMs));
  add_row(context, "weights-shared-half", test.distance(),
          "half the contents are shared, scope host");
  return {};
}

Result<void> lending(const Context& context) {
  Contention test;
  TMEM_CHECK(test.open(context, 0));
  test.set_rate(2, 0);  // weight 4 idles
  TMEM_CHECK(test.run(kMinuteMs));
  const double lent = (test.used(0) + test.used(1)) / test.total_used();
  context.report.add({"weights-lent", "-", lent, 1, "share", Goal{0.95, Better::kHigher},
                      "used by the others while weight 4 idles"});
  test.set_rate(2, 6);  // its share within ten seconds
  TMEM_CHECK(test.run(10'000));
  add_row(context, "weights-return", test.distance(), "ten seconds after it demands its share");
  return {};
}

}  // namespace

Result<void> bench_weights(const Context& context) {
  if (!context.report.wants_group("weights")) return {};
  TMEM_CHECK(steady(context));
  TMEM_CHECK(against_the_weights(context));
  TMEM_CHECK(shared_contents(context));
  return lending(context);
}

}  // namespace tmem::bench
