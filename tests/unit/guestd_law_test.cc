// SPDX-License-Identifier: GPL-2.0-or-later
// tmem-guestd: how much memory the guest takes in guest mode, and how often the agent looks.
#include <catch2/catch.hpp>
#include <random>

#include "tools/tmem-guestd/law.h"
#include "tools/tmem-guestd/pace.h"

namespace tmem {
namespace {

constexpr uint64_t kTotal = 1000000;

Law fresh_law() {
  Law law;
  law_init(&law, kTotal);
  return law;
}

uint64_t want(Law& law, uint64_t now_ms, uint64_t total, uint64_t committed, bool pressed = false) {
  const LawInput input{now_ms, total, committed, 10000, pressed, 0};
  return law_want_kib(&law, &input);
}

}  // namespace

TEST_CASE("guest mode: up at once, down by an eighth each five seconds") {
  Law law = fresh_law();
  // The goal is committed 300000 + reserve 10000 + a tenth of the start's 1000000.
  CHECK(want(law, 1000, kTotal, 300000) == kTotal - 590000 / 8);
  CHECK(want(law, 2000, 926250, 300000) == 926250);  // no second step yet
  CHECK(want(law, 5999, 926250, 300000) == 926250);
  CHECK(want(law, 6000, 926250, 300000) == 926250 - (926250 - 410000) / 8);
  CHECK(want(law, 6100, 861719, 900000) == 1010000);  // more was committed: at once
  uint64_t total = kTotal;
  for (uint64_t now = 10000; now < 400000; now += 1000) total = want(law, now, total, 300000);
  CHECK(total >= 410000);
  CHECK(total < 411000);
}

TEST_CASE("guest mode: whatever is committed, something is left that could be made free") {
  Law law = fresh_law();
  uint64_t total = kTotal;
  for (uint64_t now = 1000; now < 400000; now += 1000) {
    const LawInput input{now, total, 0, 10000, false, 700000};
    total = law_want_kib(&law, &input);
  }
  CHECK(total >= 700000);
  CHECK(total < 701000);
  const LawInput low{400000, 650000, 0, 10000, false, 700000};
  CHECK(law_want_kib(&law, &low) == 700000);
}

TEST_CASE("guest mode: processes that wait get a tenth more at once, and it is kept a while") {
  Law law = fresh_law();
  uint64_t total = 410000;
  CHECK(want(law, 1000, total, 300000) == total);
  CHECK(want(law, 2000, total, 300000, true) == 451000);
  CHECK(want(law, 2100, total, 300000, true) == 451000);  // no more before the balloon has moved
  total = 451000;
  CHECK(want(law, 3000, total, 300000, true) == 496100);
  total = 496100;
  CHECK(want(law, 5000, total, 300000) == 496100);
  const uint64_t later = want(law, 6000, total, 300000);
  CHECK(later < 496100);
  CHECK(later > 490000);
  for (uint64_t now = 7000; now < 600000; now += 1000) total = want(law, now, total, 300000);
  CHECK(total < 411000);
}

TEST_CASE("guest mode: no number moves the target out of dom0's bounds") {
  const uint32_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto any = [&] { return random() >> (random() % 64); };
  Law law = fresh_law();
  size_t outside = 0;
  for (int i = 0; i < 200000; ++i) {
    const uint64_t a = any() & ((uint64_t{1} << 44) - 1), b = any() & ((uint64_t{1} << 44) - 1);
    const Bounds bounds{std::min(a, b), std::max(a, b)};
    if (!bounds_are_valid(&bounds)) continue;
    const LawInput input{any(), any(), any(), any(), random() % 2 == 0, any()};
    const uint64_t target = within_bounds_kib(&bounds, law_want_kib(&law, &input));
    outside += target < bounds.min_kib || target > bounds.max_kib || target % 4 != 0;
  }
  CHECK(outside == 0);
}

TEST_CASE("guest mode: what is no range is refused") {
  const auto valid = [](uint64_t min, uint64_t max) {
    const Bounds bounds{min, max};
    return bounds_are_valid(&bounds);
  };
  CHECK(valid(4096, 4096));
  CHECK_FALSE(valid(0, 4096));  // not set
  CHECK_FALSE(valid(4096, 0));
  CHECK_FALSE(valid(8192, 4096));
  CHECK_FALSE(valid(4097, 4099));  // no whole page between
  CHECK_FALSE(valid(4096, UINT64_MAX));
  CHECK_FALSE(valid(UINT64_MAX, UINT64_MAX));
}

TEST_CASE("pace: heartbeats while calm, each second while memory moves") {
  Pace pace;
  pace_init(&pace, 10000);
  GuestSample sample{};
  sample.total_kib = 1000000;
  sample.committed_kib = 500000;
  sample.has_pressure = true;
  uint64_t now = 1000;
  const auto reports_in = [&](uint64_t seconds) {
    int reports = 0;
    for (const uint64_t end = now + seconds * 1000; now < end; now += pace_period_ms(&pace, now)) {
      if (!pace_due(&pace, &sample, now)) continue;
      pace_reported(&pace, &sample, now);
      ++reports;
    }
    return reports;
  };
  CHECK(reports_in(1) == 1);  // the first
  CHECK(reports_in(100) == 10);
  sample.committed_kib += 19000;  // less than 2 %
  CHECK(reports_in(20) == 2);
  sample.committed_kib += 21000;
  CHECK(reports_in(6) >= 5);
  CHECK(reports_in(100) <= 11);  // and calm again
  sample.some_us += 5000;
  CHECK(reports_in(6) >= 5);
  reports_in(10);
  sample.some_us += 500;  // half a thousandth of a second is nothing
  CHECK(reports_in(20) == 2);
}

TEST_CASE("pace: without PSI, pages that are read back say that memory is short") {
  Pace pace;
  pace_init(&pace, 10000);
  GuestSample sample{};
  sample.total_kib = 1000000;
  pace_reported(&pace, &sample, 1000);
  sample.refault_pages = 100;
  CHECK_FALSE(pace_due(&pace, &sample, 3000));
  sample.refault_pages = 300;
  CHECK(pace_due(&pace, &sample, 5000));
  pace_reported(&pace, &sample, 5000);
  sample.swap_in_pages = 300;
  CHECK(pace_due(&pace, &sample, 20000 - 14000));
}

}  // namespace tmem
