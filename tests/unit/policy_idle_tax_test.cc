// SPDX-License-Identifier: GPL-2.0-or-later
// Whose weight is taxed, and how much.
#include <catch2/catch.hpp>

#include "policy/idle_tax.h"

namespace tmem::policy {
namespace {

TaxInput client(uint32_t number, uint64_t puts, uint64_t hits, uint32_t weight = 100) {
  TaxInput input;
  input.client = {number, 7};
  input.weight = weight;
  input.use.ephemeral_puts = puts;
  input.use.ephemeral_hits = hits;
  return input;
}

std::vector<uint32_t> weights(IdleTax& tax, const std::vector<TaxInput>& inputs) {
  return tax.weights(inputs);
}

}  // namespace

TEST_CASE("who puts and never gets keeps a tenth of its weight") {
  IdleTax tax;
  CHECK(weights(tax, {client(1, 10'000, 0), client(2, 10'000, 8'000)}) ==
        std::vector<uint32_t>{10, 100});
}

TEST_CASE("use is measured by that of all together") {
  IdleTax tax;
  // 0.15 of all puts; 0.1 is two thirds of it: 100 / (2/3 + 10 / 3).
  CHECK(weights(tax, {client(1, 10'000, 2'000), client(2, 10'000, 1'000)}) ==
        std::vector<uint32_t>{100, 25});
}

TEST_CASE("who gets a few pages for show taxes nobody") {
  IdleTax tax;
  CHECK(weights(tax, {client(1, 300, 300), client(2, 100'000, 20'000)})[1] > 80);
}

TEST_CASE("without any use, or with too little to judge by, nobody is taxed") {
  IdleTax tax;
  CHECK(weights(tax, {client(1, 10'000, 0), client(2, 10'000, 10)}) ==
        std::vector<uint32_t>{100, 100});
  IdleTax idle;
  CHECK(weights(idle, {client(1, 200, 0), client(2, 10'000, 9'000)}) ==
        std::vector<uint32_t>{100, 100});
}

TEST_CASE("the tax follows what the last minutes were like") {
  IdleTax tax;
  uint64_t puts = 10'000;
  uint64_t hits = 0;
  CHECK(weights(tax, {client(1, puts, hits), client(2, 10'000, 10'000)})[0] == 10);
  uint32_t last = 10;
  for (uint64_t minute = 2; minute < 8; ++minute) {
    puts += 10'000;
    hits += 10'000;
    const auto now =
        weights(tax, {client(1, puts, hits), client(2, minute * 10'000, minute * 10'000)});
    CHECK(now[0] > last);
    CHECK(now[1] == 100);
    last = now[0];
  }
  CHECK(last > 80);
  // A minute of silence changes nothing.
  CHECK(weights(tax, {client(1, puts, hits), client(2, 70'000, 70'000)})[0] == last);
}

TEST_CASE("a weight stays within a tenth and all of itself, whatever the counters say") {
  for (const uint32_t weight : {0u, 1u, 5u, 1'000'000u}) {
    IdleTax tax;
    for (const uint64_t hits : {uint64_t{0}, uint64_t{5'000}, UINT64_MAX, uint64_t{3}}) {
      const auto now =
          weights(tax, {client(1, 1'000, hits, weight), client(2, UINT64_MAX, 10'000'000)});
      CHECK(now[0] <= weight);
      CHECK(now[0] >= weight / 10);
      CHECK((now[0] == 0) == (weight == 0));
    }
  }
}

TEST_CASE("another client with the same number begins untaxed") {
  IdleTax tax;
  CHECK(weights(tax, {client(1, 10'000, 0), client(2, 10'000, 9'000)})[0] == 10);
  TaxInput other = client(1, 100, 0);
  other.client.epoch = 8;
  CHECK(weights(tax, {other, client(2, 20'000, 18'000)})[0] == 100);
}

}  // namespace tmem::policy
