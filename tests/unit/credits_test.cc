// SPDX-License-Identifier: GPL-2.0-or-later
// Credits: room that the store keeps for persistent puts, and the account that a connection has.
#include "tests/unit/ring_world.h"

namespace tmem {
namespace {

using store::noise;
using store::Payment;
using store::Status;
using transport::Credits;
using transport::CreditsLeft;
using transport::Refusal;
using transport::RingWorld;

constexpr uint32_t kPersistent = 1;  // of RingWorld's and World's pools

uint32_t credits_of(store::World& world, const store::ClientRef& client) {
  return world.store->client_stats(*client).credits;
}

Status put(store::World& world, const store::ClientRef& client, uint32_t index, Payment payment,
           uint32_t pool = kPersistent) {
  return world.store->put(world.worker, *client, store::key(pool, 1, index),
                          noise(uint64_t{index} << 8 | 7), payment);
}

TEST_CASE("credits: paid puts find their room whatever others take") {
  store::World world({.budget_bytes = 8 * kMiB});
  const auto saver = world.add(1);
  const auto greedy = world.add(2);
  CHECK(world.store->reserve_credits(*saver, 64) == 64);
  CHECK(credits_of(world, saver) == 64);
  uint32_t taken = 0;
  while (put(world, greedy, taken, Payment::kNone) == Status::kOk) ++taken;
  CHECK(taken > 1000);
  CHECK(put(world, saver, 1000, Payment::kNone) == Status::kNoSpace);
  for (uint32_t i = 0; i < 64; ++i) REQUIRE(put(world, saver, i, Payment::kCredit) == Status::kOk);
  CHECK(credits_of(world, saver) == 0);
  CHECK(world.store->reserve_credits(*saver, 64) == 0);
  CHECK_FALSE(world.store->check_invariants());
}

TEST_CASE("credits: a guarantee has room for credits, and they count against it") {
  store::World world({.budget_bytes = 8 * kMiB});
  store::ClientSettings settings;
  settings.guarantee_bytes = 1 * kMiB;
  const auto promised = world.add(1, settings);
  const auto greedy = world.add(2);
  uint32_t taken = 0;
  while (put(world, greedy, taken, Payment::kNone) == Status::kOk) ++taken;
  const uint32_t fitting = world.store->reserve_credits(*promised, 10'000);
  CHECK(fitting == 1 * kMiB / (kPageBytes + 64));
  CHECK(put(world, promised, 0, Payment::kNone) == Status::kNoSpace);
  CHECK(put(world, promised, 0, Payment::kCredit) == Status::kOk);
  world.store->release_credits(*promised, fitting - 1);
  CHECK(credits_of(world, promised) == 0);
  CHECK(put(world, promised, 1, Payment::kNone) == Status::kOk);
}

TEST_CASE("credits: caps count them, freezing does not stop what was promised") {
  store::World world;
  store::ClientSettings settings;
  settings.cap_pages = 10;
  const auto client = world.add(1, settings);
  CHECK(put(world, client, 0, Payment::kNone) == Status::kOk);
  CHECK(world.store->reserve_credits(*client, 64) == 9);
  CHECK(put(world, client, 1, Payment::kNone) == Status::kNoSpace);
  settings.frozen = true;
  REQUIRE(world.store->configure(*client, settings));
  CHECK_FALSE(store::Store::wants_credits(*client));
  CHECK(put(world, client, 1, Payment::kNone) == Status::kFrozen);
  for (uint32_t i = 1; i <= 9; ++i) REQUIRE(put(world, client, i, Payment::kCredit) == Status::kOk);
  CHECK(world.store->client_stats(*client).pages[kPersistent] == 10);
}

TEST_CASE("credits: an ephemeral put cannot be paid, and costs the credit") {
  store::World world;
  const auto client = world.add(1);
  REQUIRE(world.store->reserve_credits(*client, 2) == 2);
  CHECK(put(world, client, 0, Payment::kCredit, 0) == Status::kBadRequest);
  CHECK(credits_of(world, client) == 1);
}

tmem_request paid_put(const RingWorld& ring, uint32_t index, uint32_t pool = kPersistent) {
  tmem_request wire = ring.request(TMEM_OP_PUT, pool, index, 0);
  wire.flags = TMEM_REQUEST_CREDIT;
  return wire;
}

TEST_CASE("credits: the flag is refused where the feature was not negotiated") {
  RingWorld ring;
  CHECK(ring.call(paid_put(ring, 0)) == Status::kBadRequest);
  CHECK(ring.refusals(Refusal::kReservedNotZero) == 1);
  ring.use_credits(4);
  tmem_request get = ring.request(TMEM_OP_GET, kPersistent, 0, 0);
  get.flags = TMEM_REQUEST_CREDIT;
  CHECK(ring.call(get) == Status::kBadRequest);
  CHECK(ring.refusals(Refusal::kReservedNotZero) == 1);
}

TEST_CASE("credits: granted, spent and granted again; none is spent twice") {
  RingWorld ring;
  ring.use_credits(4);
  CHECK(ring.control().credits_granted == 0);
  CHECK(ring.call(paid_put(ring, 0)) == Status::kBadRequest);
  CHECK(ring.refusals(Refusal::kCredit) == 1);
  CHECK(ring.control().credits_granted == 4);  // that turn's top-up

  for (uint32_t i = 0; i < 5; ++i) ring.post(paid_put(ring, i));
  (void)ring.run();
  for (uint32_t i = 0; i < 4; ++i) CHECK(ring.answer() == Status::kOk);
  CHECK(ring.answer() == Status::kBadRequest);
  CHECK(ring.control().credits_granted == 8);
  CHECK(credits_of(ring.world, ring.client) == 4);
  CHECK(ring.world.store->client_stats(*ring.client).pages[kPersistent] == 4);

  ring.queue.reset();
  ring.credits.reset();
  CHECK(credits_of(ring.world, ring.client) == 0);
}

TEST_CASE("credits: those of a stale epoch are given back") {
  RingWorld ring;
  ring.use_credits(4);
  (void)ring.call(ring.request(TMEM_OP_NOP));
  REQUIRE(ring.control().credits_granted == 4);
  tmem_request stale = paid_put(ring, 0);
  stale.epoch ^= 1;
  CHECK(ring.call(stale) == Status::kStaleEpoch);
  CHECK(credits_of(ring.world, ring.client) == 3);
}

TEST_CASE("credits: a successor keeps what the guest holds and what is not answered") {
  RingWorld ring;
  ring.use_credits(4);
  (void)ring.call(ring.request(TMEM_OP_NOP));
  REQUIRE(ring.control().credits_granted == 4);
  ring.control().credits_used = 3;
  ring.post(paid_put(ring, 0));
  ring.post(paid_put(ring, 1));

  const CreditsLeft left = transport::credits_left({*ring.view});
  CHECK(left.granted == 4);
  CHECK(left.outstanding == 3);
  ring.use_credits(4, left);
  CHECK(credits_of(ring.world, ring.client) == 3);
  (void)ring.run();
  CHECK(ring.answer() == Status::kOk);
  CHECK(ring.answer() == Status::kOk);
  CHECK(ring.control().credits_granted == 7);

  const auto refused = [&](uint32_t max, uint32_t outstanding) {
    return Credits::open(*ring.world.store, ring.client, ring.control(), max, {0, outstanding});
  };
  CHECK_FALSE(refused(4, 5));
  CHECK_FALSE(refused(1'000'000, 1'000'000));
  CHECK(credits_of(ring.world, ring.client) == 4);
}

}  // namespace
}  // namespace tmem
