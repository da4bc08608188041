// SPDX-License-Identifier: GPL-2.0-or-later
// Which reports are believed, and what rates they give.
#include <catch2/catch.hpp>

#include "libtmem/base/units.h"
#include "policy/estimator.h"

namespace tmem::policy {
namespace {

constexpr GuestId kGuest{3};

Sample sample(uint64_t sequence) {
  Sample one;
  one.sequence = sequence;
  one.uptime_ms = 1000 * sequence;
  one.total_bytes = 200 * kMiB;
  one.free_bytes = 20 * kMiB;
  one.pressure = Pressure{};
  return one;
}

GuestInput input(const std::optional<Sample>& report) {
  GuestInput one;
  one.facts.id = kGuest;
  one.facts.actual_bytes = one.facts.target_bytes = 256 * kMiB;
  one.facts.settings.max_bytes = 512 * kMiB;
  if (report) one.report = format_report(*report);
  return one;
}

// It has seen the guest before, without a report.
Estimator seen() {
  Estimator estimator;
  (void)estimator.update(1, input(std::nullopt));
  return estimator;
}

}  // namespace

TEST_CASE("policy estimator: without PSI the pages that were read back tell of a wait") {
  Estimator estimator = seen();
  Sample first = sample(1);
  first.pressure.reset();
  (void)estimator.update(1000, input(first));
  Sample second = first;
  second.sequence = 2;
  second.uptime_ms += 1000;
  second.refault_pages = 600;
  second.swap_in_pages = 400;
  CHECK(estimator.update(2000, input(second)).rates.some_ratio == Approx(0.03));
  second.sequence = 3;
  second.uptime_ms += 1000;
  CHECK(estimator.update(3000, input(second)).rates.some_ratio == 0);
}

TEST_CASE("policy estimator: an agent that began anew has brought nothing back yet") {
  Estimator estimator = seen();
  Sample first = sample(7);
  first.swap_in_pages = 1000;
  (void)estimator.update(1000, input(first));
  Sample second = sample(1);
  second.uptime_ms = first.uptime_ms + 1000;
  second.swap_in_pages = 500'000;
  second.refault_pages = 30;
  const Estimate estimate = estimator.update(2000, input(second));
  CHECK(estimate.rates.swap_in_pages == 0);
  CHECK(estimate.rates.refault_pages == Approx(30));
}

TEST_CASE("policy estimator: a report that was seen late does not shorten the time to the next") {
  Estimator estimator = seen();
  const Sample first = sample(1);
  (void)estimator.update(1000, input(first));
  Sample second = sample(2);
  second.uptime_ms = first.uptime_ms + 1000;
  second.pressure = Pressure{100'000, 0};
  CHECK(estimator.update(1050, input(second)).rates.some_ratio == Approx(0.1));
}

TEST_CASE("policy estimator: a guest's clock makes its rates no higher than the host's") {
  Estimator estimator = seen();
  Sample first = sample(1);
  (void)estimator.update(1000, input(first));
  Sample second = sample(2);
  second.uptime_ms = first.uptime_ms + 1;  // it says that only a millisecond went by
  second.pressure = Pressure{100'000, 50'000};
  second.refault_pages = 400;
  second.swap_in_pages = 200;
  const Estimate estimate = estimator.update(3000, input(second));
  CHECK(estimate.rates.some_ratio == Approx(0.05));
  CHECK(estimate.rates.full_ratio == Approx(0.025));
  CHECK(estimate.rates.refault_pages == Approx(200));
  CHECK(estimate.rates.swap_in_pages == Approx(100));
  CHECK(estimate.report == ReportState::kFresh);
}

TEST_CASE("policy estimator: more stall than time is no more than all the time") {
  Estimator estimator = seen();
  (void)estimator.update(1000, input(sample(1)));
  Sample second = sample(2);
  second.pressure = Pressure{uint64_t{1} << 60, uint64_t{1} << 60};
  second.refault_pages = second.swap_in_pages = uint64_t{1} << 60;
  const Estimate estimate = estimator.update(2000, input(second));
  CHECK(estimate.rates.some_ratio == 1.0);
  CHECK(estimate.rates.refault_pages <= 4e6);
}

TEST_CASE("policy estimator: counters that go back give no rate") {
  Estimator estimator = seen();
  Sample first = sample(5);
  first.refault_pages = 1000;
  first.pressure = Pressure{1'000'000, 1'000'000};
  (void)estimator.update(1000, input(first));
  const Estimate estimate = estimator.update(2000, input(sample(6)));
  CHECK(estimate.rates.refault_pages == 0);
  CHECK(estimate.rates.some_ratio == 0);
}

TEST_CASE("policy estimator: silence is calm, and after half a minute the report is stale") {
  Estimator estimator = seen();
  (void)estimator.update(1000, input(sample(1)));
  Sample second = sample(2);
  second.pressure = Pressure{500'000, 0};
  CHECK(estimator.update(2000, input(second)).rates.some_ratio == Approx(0.5));
  CHECK(estimator.update(3000, input(second)).rates.some_ratio == 0);
  const Estimate held = estimator.update(2000 + kReportStaleMs, input(second));
  CHECK(held.sample);
  CHECK(held.sample_age_ms == kReportStaleMs);
  const Estimate stale = estimator.update(2001 + kReportStaleMs, input(second));
  CHECK_FALSE(stale.sample);
  CHECK(stale.report == ReportState::kStale);
  CHECK(estimator.update(50'000, input(second)).report == ReportState::kStale);
  CHECK(estimator.counters(kGuest).stale == 1);
  CHECK(estimator.update(60'000, input(sample(3))).sample);
}

TEST_CASE("policy estimator: memory in use that goes up and down is counted") {
  Estimator estimator = seen();
  const auto swings_after = [&](uint64_t sequence, uint64_t available_mib) {
    Sample one = sample(sequence);
    one.available_bytes = available_mib * kMiB;
    (void)estimator.update(1000 * sequence, input(one));
    return estimator.counters(kGuest).swings;
  };
  CHECK(swings_after(1, 100) == 0);
  CHECK(swings_after(2, 120) == 0);  // a tenth of all
  CHECK(swings_after(3, 100) == 0);
  CHECK(swings_after(4, 50) == 0);
  CHECK(swings_after(5, 20) == 0);  // the same way
  CHECK(swings_after(6, 60) == 1);
  CHECK(swings_after(7, 20) == 2);
}

TEST_CASE("policy estimator: what is malformed or absurd leaves the last good one") {
  Estimator estimator = seen();
  (void)estimator.update(1000, input(sample(1)));
  GuestInput bad = input(std::nullopt);
  bad.report = "1 seq=2 total_kib=-1";
  Estimate estimate = estimator.update(2000, bad);
  CHECK(estimate.report == ReportState::kMalformed);
  REQUIRE(estimate.sample);
  CHECK(estimate.sample->sequence == 1);
  Sample liar = sample(3);
  liar.total_bytes = 5 * kGiB;
  estimate = estimator.update(3000, input(liar));
  CHECK(estimate.report == ReportState::kAbsurd);
  CHECK(estimator.complaint(kGuest).find("total") == 0);
  CHECK(estimate.sample->sequence == 1);
  (void)estimator.update(4000, input(liar));  // the same text counts once
  CHECK(estimator.counters(kGuest).accepted == 1);
  CHECK(estimator.counters(kGuest).malformed == 1);
  CHECK(estimator.counters(kGuest).absurd == 1);
  estimate = estimator.update(5000, input(sample(4)));
  CHECK(estimate.report == ReportState::kFresh);
  CHECK(estimator.complaint(kGuest).empty());
}

TEST_CASE("policy estimator: a report that was there before is of nobody knows when") {
  Estimator estimator;
  for (const uint64_t now_ms : {1000, 2000, 20'000}) {
    const Estimate estimate = estimator.update(now_ms, input(sample(7)));
    CHECK_FALSE(estimate.sample);
    CHECK(estimate.report == ReportState::kNone);
  }
  const Estimate estimate = estimator.update(21'000, input(sample(8)));
  CHECK(estimate.report == ReportState::kFresh);
  CHECK(estimate.sample_age_ms == 0);
}

TEST_CASE("policy estimator: a text that is too long counts once") {
  Estimator estimator = seen();
  GuestInput bad = input(std::nullopt);
  bad.report = std::string(5000, 'x');
  for (const uint64_t now_ms : {1000, 2000, 3000}) (void)estimator.update(now_ms, bad);
  CHECK(estimator.counters(kGuest).malformed == 1);
}

TEST_CASE("policy estimator: a guest without an agent still has the store's counts") {
  Estimator estimator = seen();
  GuestInput none = input(std::nullopt);
  none.facts.pool.persistent_gets = 50;
  CHECK(estimator.update(1000, none).report == ReportState::kNone);
  none.facts.pool.persistent_gets = 150;
  none.facts.pool.ephemeral_hits = 10;
  const Estimate estimate = estimator.update(2000, none);
  CHECK(estimate.rates.persistent_gets == Approx(100));
  CHECK(estimate.rates.ephemeral_hits == Approx(10));
  CHECK_FALSE(estimate.sample);
}

TEST_CASE("policy estimator: the trigger counts once, and a guest that went is forgotten") {
  Estimator estimator = seen();
  (void)estimator.update(1000, input(sample(1)));
  Sample second = sample(2);
  second.urgent = 1;
  CHECK(estimator.update(1200, input(second)).urgent);
  CHECK_FALSE(estimator.update(1400, input(second)).urgent);
  estimator.forget_others(1500);
  CHECK(estimator.counters(kGuest).accepted == 0);
  CHECK(estimator.update(1600, input(std::nullopt)).report == ReportState::kNone);
}

}  // namespace tmem::policy
