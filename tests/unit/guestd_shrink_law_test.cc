// SPDX-License-Identifier: GPL-2.0-or-later
// tmem-guestd: when pages of swap come back from the pool, and how many.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tools/tmem-guestd/shrink.h"

namespace tmem {
namespace {

constexpr uint32_t kMostPagesPerS = 4096;
constexpr uint64_t kStepMs = kShrinkStepMs;

// A guest of 1 GiB, half of it available, and so many pages in the pool. Reading one takes 10 us.
struct Guest {
  Guest() { shrink_law_init(&law, kMostPagesPerS); }
  // Steps until then; how many pages came back.
  uint64_t until_ms(uint64_t end_ms) {
    const uint64_t before = held;
    for (; input.now_ms < end_ms; input.now_ms += kStepMs) step();
    return before - held;
  }
  uint64_t for_ms(uint64_t ms) { return until_ms(input.now_ms + ms); }
  void step() {
    input.some_us += foreign_us_per_step;
    if (shrink_law_calm(&law, &input)) {
      uint64_t wanted = std::min<uint64_t>(held, shrink_law_pages(&law, held));
      const uint64_t begin_us = input.some_us;
      while (wanted > 0 && (!input.has_pressure || waited(begin_us) < law.stall_credit_us)) {
        const uint64_t pages = std::min<uint64_t>(wanted, 16);
        bring_back(pages);
        wanted -= pages;
      }
    }
    input.alarmed = false;
  }
  int64_t waited(uint64_t since_us) const { return static_cast<int64_t>(input.some_us - since_us); }
  void bring_back(uint64_t pages) {
    shrink_law_done(&law, static_cast<uint32_t>(pages), pages * (10 + own_stall_us));
    held -= pages;
    input.some_us += pages * own_stall_us;
    input.available_kib -= pages * 4;
  }
  ShrinkLaw law{};
  ShrinkInput input{1000, 1 << 20, 1 << 19, 0, 0, true, 0, false};
  uint64_t held = 100'000;
  uint64_t own_stall_us = 0, foreign_us_per_step = 0;
};

}  // namespace

TEST_CASE("self-shrinking: after 15 s of calm a hundredth a second, four fifths within 5 minutes") {
  Guest guest;
  CHECK(guest.until_ms(15'900) == 0);
  const uint64_t first = guest.until_ms(26'000);
  CHECK(first > 8'000);
  CHECK(first < 10'000);
  guest.until_ms(16'000 + 300'000);
  CHECK(guest.held < 20'000);
  SECTION("and it comes to an end") {
    guest.for_ms(1'200'000);
    CHECK(guest.held == 0);
  }
}

TEST_CASE("self-shrinking: no faster than it is told to") {
  Guest guest;
  guest.held = 10'000'000;
  guest.input.total_kib = guest.input.available_kib = 64 << 20;
  guest.until_ms(20'000);
  for (int i = 0; i < 20; ++i) CHECK(guest.for_ms(1000) <= kMostPagesPerS);
}

TEST_CASE("self-shrinking: a disturbance ends it at once, for 15 s, then for longer") {
  Guest guest;
  REQUIRE(guest.until_ms(20'000) > 0);
  SECTION("processes wait for memory") {
    guest.input.some_us += 10'000;
  }
  SECTION("the trigger fires") {
    guest.input.alarmed = true;
  }
  SECTION("pages go out") {
    guest.input.swap_out_pages += 64;
  }
  CHECK(guest.for_ms(29'000) == 0);
  CHECK(guest.for_ms(5'000) > 0);
}

TEST_CASE("self-shrinking: disturbed again and again it waits ever longer, and a burst forgives") {
  Guest guest;
  uint64_t longest_ms = 0;
  for (int i = 0; i < 12; ++i) {
    const uint64_t begin_ms = guest.input.now_ms;
    while (!guest.law.active) guest.for_ms(kStepMs);
    longest_ms = std::max(longest_ms, guest.input.now_ms - begin_ms);
    guest.input.alarmed = true;
    guest.for_ms(kStepMs);
    guest.held = 100'000;
    guest.input.available_kib = 1 << 19;
  }
  CHECK(longest_ms > 3'500'000);
  CHECK(longest_ms <= 3'601'000);
  for (int i = 0; i < 10; ++i) {
    guest.input.swap_out_pages += 1000;
    guest.for_ms(1000);
  }
  CHECK(guest.for_ms(20'000) > 0);
}

TEST_CASE("self-shrinking: one that went on for five minutes begins anew with 15 s") {
  Guest guest;
  guest.held = 1'000'000;
  guest.input.total_kib = guest.input.available_kib = 64 << 20;
  guest.until_ms(320'000);
  guest.input.alarmed = true;
  CHECK(guest.for_ms(14'000) == 0);
  CHECK(guest.for_ms(3'000) > 0);
}

TEST_CASE("self-shrinking: all waiting together stays below 0.1 % of the time") {
  Guest guest;
  // Not calm, but below what ends it.
  SECTION("own reads alone") {
    guest.own_stall_us = 100;
  }
  SECTION("own reads that take long") {
    guest.own_stall_us = 1500;
  }
  SECTION("others too") {
    guest.own_stall_us = 100;
    guest.foreign_us_per_step = 100;
  }
  guest.until_ms(17'000);
  const uint64_t some_us = guest.input.some_us;
  const uint64_t begin_ms = guest.input.now_ms;
  CHECK(guest.for_ms(400'000) > 0);
  CHECK(guest.input.some_us - some_us < guest.input.now_ms - begin_ms);
}

TEST_CASE("self-shrinking: a tenth of memory stays available") {
  Guest guest;
  const uint64_t margin_kib = guest.input.total_kib / 10;
  guest.input.available_kib = margin_kib + 5'000;
  CHECK(guest.until_ms(30'000) == 0);  // too little to begin
  guest.input.available_kib = margin_kib + 40'000;
  CHECK(guest.for_ms(600'000) > 8'000);
  CHECK(guest.input.available_kib >= margin_kib);
  SECTION("when it falls, nothing more comes") {
    guest.input.available_kib = margin_kib - 1;
    CHECK(guest.for_ms(60'000) == 0);
  }
}

TEST_CASE("self-shrinking: where it is of no use it rests ever longer, until pages go out") {
  Guest guest;
  guest.until_ms(17'000);
  uint64_t last_ms = 0;
  for (int i = 0; i < 4; ++i) {
    shrink_law_rest(&guest.law, guest.input.now_ms);
    const uint64_t begin_ms = guest.input.now_ms;
    while (!guest.law.active) guest.for_ms(kStepMs);
    const uint64_t rested_ms = guest.input.now_ms - begin_ms;
    CHECK(rested_ms >= (i == 0 ? 60'000 : 2 * last_ms - kStepMs));
    last_ms = rested_ms;
  }
  shrink_law_rest(&guest.law, guest.input.now_ms);
  SECTION("at once") {
    guest.input.swap_out_pages += 1000;
  }
  SECTION("slowly") {
    for (int i = 0; i < 20; ++i) {
      CHECK(guest.for_ms(1000) == 0);
      guest.input.swap_out_pages += 30;
    }
  }
  CHECK(guest.for_ms(12'000) == 0);
  CHECK(guest.for_ms(5'000) > 0);
}

TEST_CASE("self-shrinking: without PSI, pages that others read back are the sign") {
  Guest guest;
  guest.input.has_pressure = false;
  CHECK(guest.until_ms(20'000) > 0);
  guest.input.read_back_pages += 64;
  CHECK(guest.for_ms(20'000) == 0);
}

TEST_CASE("self-shrinking: counters and clocks that jump do no harm") {
  Guest guest;
  guest.until_ms(20'000);
  guest.input.some_us = UINT64_MAX;
  guest.step();
  guest.input.some_us = 0;
  guest.input.available_kib = guest.input.total_kib = UINT64_MAX / 2;
  guest.held = UINT64_MAX / 2;
  guest.input.now_ms = 1'000'000'000'000;
  for (int i = 0; i < 1000; ++i) {
    guest.input.now_ms += kStepMs;
    guest.input.available_kib = guest.input.total_kib;
    const uint64_t before = guest.held;
    guest.step();
    CHECK(before - guest.held <= 2 * kMostPagesPerS);
  }
}

}  // namespace tmem
