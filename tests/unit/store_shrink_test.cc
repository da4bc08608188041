// SPDX-License-Identifier: GPL-2.0-or-later
// Store::shrink on memory that goes back in whole slots only: what goes, what stays, and that
// `freeable` told the truth.
#include <map>

#include "tests/unit/shrink_world.h"

namespace tmem::store {
namespace {

Page page_of(uint32_t i) {
  return i % 3 == 0 ? text(i) : noise(i);
}

// Puts pages first .. last-1 to the client's pool.
void fill(World& w, const ClientRef& c, uint32_t pool, uint32_t first, uint32_t last) {
  for (uint32_t i = first; i < last; ++i)
    if (w.put(c, key(pool, i / 64, i), page_of(i)) != Status::kOk) FAIL("put " << i);
}

// Pages of a persistent pool that are not what was put.
uint32_t wrong(World& w, const ClientRef& c, uint32_t first, uint32_t last, uint32_t step = 1) {
  uint32_t count = 0;
  for (uint32_t i = first; i < last; i += step)
    count += w.get_is(c, key(1, i / 64, i), page_of(i)) ? 0 : 1;
  return count;
}

}  // namespace

TEST_CASE("shrink gives whole slots back and operations stay within the limit", "[shrink]") {
  ShrinkWorld w({.budget_bytes = 64 * kMiB});
  const ClientRef c = w.add(1);
  fill(w, c, 0, 0, 20'000);
  REQUIRE(w.arena_bytes() > 56 * kMiB);
  REQUIRE(w.arena_bytes() == w.slots.resident_bytes());
  CHECK(w.shrink_to(32 * kMiB) == ShrinkState::kDone);
  CHECK(w.arena_bytes() <= 32 * kMiB);
  CHECK(w.arena_bytes() > 28 * kMiB);  // and not more
  CHECK(w.slots.resident_bytes() == w.arena_bytes());
  CHECK(w.pages(c, Kind::kEphemeral) > 4'000);
  CHECK(w.invariants() == "hold");
  const uint64_t acquired = w.slots.acquired();
  fill(w, c, 0, 20'000, 40'000);
  while (w.store->maintain(w.worker, 64)) {
  }
  CHECK(w.slots.acquired() == acquired);
  CHECK(w.store->stats().held_bytes <= 32 * kMiB + w.store->stats().metadata_bytes);
  w.store->set_arena_limit(64 * kMiB);
  fill(w, c, 0, 0, 20'000);
  CHECK(w.arena_bytes() > 56 * kMiB);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("the oldest ephemeral pages go, and no more than need be", "[shrink]") {
  ShrinkWorld w({.budget_bytes = 64 * kMiB});
  const ClientRef c = w.add(1);
  for (uint32_t i = 0; i < 10'000; ++i)
    REQUIRE(w.put(c, key(0, i / 64, i), noise(i)) == Status::kOk);
  CHECK(w.shrink_to(32 * kMiB) == ShrinkState::kDone);
  const uint64_t left = w.pages(c, Kind::kEphemeral);
  CHECK(left * kPageBytes >= 20 * kMiB);
  uint32_t young = 0;
  for (uint32_t i = 10'000 - static_cast<uint32_t>(left) + 200; i < 10'000; ++i)
    young += w.get_is(c, key(0, i / 64, i), noise(i)) ? 1 : 0;
  CHECK(young + 200 == left);
}

TEST_CASE("what is sparse is moved together, and nothing is lost", "[shrink]") {
  ShrinkWorld w({.budget_bytes = 64 * kMiB});
  ClientSettings settings;
  settings.compress = false;  // which would move them, too
  const ClientRef c = w.add(1, settings);
  fill(w, c, 0, 0, 6'000);
  fill(w, c, 1, 6'000, 12'000);
  for (uint32_t i = 0; i < 12'000; ++i)
    if (i % 4 != 0) REQUIRE(w.flush(c, key(i < 6'000 ? 0 : 1, i / 64, i)) == Status::kOk);
  const uint64_t before = w.arena_bytes();
  REQUIRE(before > 36 * kMiB);
  CHECK(w.shrink_to(24 * kMiB) == ShrinkState::kDone);
  CHECK(w.arena_bytes() <= 24 * kMiB);
  CHECK(w.store->stats().evicted_pages == 0);
  CHECK(w.store->stats().cleaned_pages > 0);
  CHECK(wrong(w, c, 6'000, 12'000, 4) == 0);
  uint32_t lost = 0;
  for (uint32_t i = 0; i < 6'000; i += 4)
    lost += w.get_is(c, key(0, i / 64, i), page_of(i)) ? 0 : 1;
  CHECK(lost == 0);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("persistent pages survive any shrink, byte by byte", "[shrink]") {
  const uint64_t seed = GENERATE(range(1, 7));
  ShrinkWorld w({.budget_bytes = 96 * kMiB});
  model::Rng rng(seed);
  const std::array<ClientRef, 3> clients = {w.add(1), w.add(2), w.add(3)};
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> held;  // client, index: page
  for (uint32_t round = 0; round < 6; ++round) {
    for (uint32_t i = 0; i < 6'000; ++i) {
      const uint32_t client = rng.below(3);
      const uint32_t index = rng.below(3'000);
      const Key where = key(1, index / 64, index);
      const uint32_t content = rng.below(4'000);
      if (!rng.one_in(4)) {
        (void)w.put(clients[client], key(0, i / 64, i), page_of(round * 6'000 + i));
      } else if (rng.one_in(3)) {
        (void)w.flush(clients[client], where);
        held.erase({client, index});
      } else if (w.put(clients[client], where, page_of(content)) == Status::kOk) {
        held[{client, index}] = content;
      } else {
        held.erase({client, index});
      }
      if (i % 500 == 0) w.clock.advance_ms(rng.below(3'000));
      if (i % 100 == 0) (void)w.store->maintain(w.worker, rng.below(64));
    }
    w.store->set_arena_limit(rng.below(48) * kSlot);
    for (uint32_t i = rng.below(300); i > 0; --i)
      if (w.store->shrink(w.worker, 1 + rng.below(200)) == ShrinkState::kStuck) break;
    REQUIRE(w.invariants() == "hold");
    REQUIRE(w.arena_bytes() == w.slots.resident_bytes());
    uint32_t lost = 0;
    for (const auto& [where, content] : held)
      lost +=
          w.get_is(clients[where.first], key(1, where.second / 64, where.second), page_of(content))
              ? 0
              : 1;
    REQUIRE(lost == 0);
    if (rng.one_in(2)) w.store->set_arena_limit(rng.below(49) * kSlot);
  }
}

TEST_CASE("shrink says when it can get no lower", "[shrink]") {
  ShrinkWorld w({.budget_bytes = 64 * kMiB});
  const ClientRef c = w.add(1);
  fill(w, c, 1, 0, 4'000);
  fill(w, c, 0, 4'000, 10'000);
  CHECK(w.shrink_to(0) == ShrinkState::kStuck);
  CHECK(w.pages(c, Kind::kEphemeral) == 0);
  CHECK(w.pages(c, Kind::kPersistent) == 4'000);
  const uint64_t low = w.arena_bytes();
  CHECK(low >= 2'666 * kPageBytes);  // the others compress
  CHECK(low <= 4'000 * kPageBytes + 12 * kMiB);
  CHECK(w.shrink_to(0) == ShrinkState::kStuck);
  CHECK(w.arena_bytes() == low);
  CHECK(wrong(w, c, 0, 4'000) == 0);
  w.store->remove_client(*c);
  CHECK(w.shrink_to(0) == ShrinkState::kDone);
  CHECK(w.arena_bytes() == 0);
  CHECK(w.slots.resident_bytes() == 0);
}

TEST_CASE("a slice of shrink is bounded", "[shrink]") {
  ShrinkWorld w({.budget_bytes = 64 * kMiB});
  const ClientRef c = w.add(1);
  fill(w, c, 0, 0, 15'000);
  w.store->set_arena_limit(16 * kMiB);
  uint64_t released = w.store->stats().released_slots;
  uint64_t evicted = 0;
  ShrinkState state = ShrinkState::kMore;
  for (uint32_t calls = 0; state == ShrinkState::kMore; ++calls) {
    REQUIRE(calls < 10'000);
    state = w.store->shrink(w.worker, 16);
    const StoreStats now = w.store->stats();
    REQUIRE(now.released_slots - released <= 1);
    REQUIRE(now.evicted_pages - evicted <= 512);
    released = now.released_slots;
    evicted = now.evicted_pages;
  }
  CHECK(state == ShrinkState::kDone);
}

TEST_CASE("guarantees and credits outlast a shrink", "[shrink]") {
  ShrinkWorld w({.budget_bytes = 128 * kMiB});
  const ClientRef a = w.add(1, guaranteed(24 * kMiB));
  const ClientRef b = w.add(2);
  REQUIRE(w.settle());  // the guarantee is held: beside it there is room for credits
  const uint32_t credits = w.store->reserve_credits(*b, 1'000);
  REQUIRE(credits == 1'000);
  fill(w, a, 0, 0, 20'000);
  CHECK(w.shrink_to(8 * kMiB) == ShrinkState::kStuck);
  const uint64_t low = w.arena_bytes();
  CHECK(low < 48 * kMiB);
  fill(w, b, 0, 20'000, 40'000);  // others may use what is kept ready
  for (uint32_t i = 0; i < 24 * kMiB / (kPageBytes + 64) - 100; ++i)
    REQUIRE(w.put(a, key(1, 1, i), noise(i)) == Status::kOk);
  for (uint32_t i = 0; i < credits; ++i)
    REQUIRE(w.store->put(w.worker, *b, key(1, 1, i), noise(100'000 + i), Payment::kCredit) ==
            Status::kOk);
  CHECK(w.arena_bytes() <= low);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("promises are measured by the arena limit", "[shrink]") {
  ShrinkWorld w({.budget_bytes = 256 * kMiB});
  const ClientRef a = w.add(1);
  w.store->set_arena_limit(32 * kMiB);
  CHECK_FALSE(w.store->add_client({uuid_of(9), DomId{9}, "big"}, guaranteed(64 * kMiB)));
  uint32_t credits = 0;  // some slots at a time
  while (const uint32_t more = w.store->reserve_credits(*a, 1'000'000)) credits += more;
  CHECK(credits * kPageBytes < 32 * kMiB);
  CHECK(credits * kPageBytes > 24 * kMiB);
  w.store->release_credits(*a, credits);
  uint32_t stored = 0;
  while (stored < 100'000 && w.put(a, key(1, stored / 64, stored), noise(stored)) == Status::kOk)
    ++stored;
  CHECK(stored * kPageBytes < 32 * kMiB);
  CHECK(stored * kPageBytes > 24 * kMiB);
  CHECK(w.arena_bytes() <= 32 * kMiB);
  w.store->set_arena_limit(256 * kMiB);
  CHECK(w.store->add_client({uuid_of(9), DomId{9}, "big"}, guaranteed(64 * kMiB)));
  CHECK(w.put(a, key(1, stored / 64, stored), noise(stored)) == Status::kOk);
}

TEST_CASE("any budget may be set beside an arena limit", "[shrink]") {
  ShrinkWorld w({.budget_bytes = 128 * kMiB});
  const ClientRef c = w.add(1);
  w.store->set_arena_limit(24 * kMiB);
  fill(w, c, 1, 0, 1'000);
  for (uint32_t i = 0; i < 2'000; ++i) {
    REQUIRE(w.store->set_budget((16 + i % 113) * kMiB));
    w.store->set_arena_limit((16 + i % 31) * kMiB);
    REQUIRE(w.put(c, key(0, i / 64, i), noise(i)) == Status::kOk);
    if (i % 16 == 0) (void)w.store->shrink(w.worker, 64);
  }
  CHECK(wrong(w, c, 0, 1'000) == 0);
  CHECK(w.shrink_to(16 * kMiB) == ShrinkState::kDone);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("when the provider has no more slots, puts evict; later it is asked again", "[shrink]") {
  ShrinkWorld w({.budget_bytes = 128 * kMiB});
  const ClientRef c = w.add(1);
  w.slots.set_available(12);
  fill(w, c, 0, 0, 12'000);
  CHECK(w.arena_bytes() == 12 * kSlot);
  CHECK(w.pages(c, Kind::kEphemeral) > 4'000);
  w.slots.set_available(64);
  (void)w.store->maintain(w.worker, 64);
  fill(w, c, 0, 12'000, 24'000);
  CHECK(w.arena_bytes() > 20 * kSlot);
  CHECK(w.invariants() == "hold");
}

TEST_CASE("a store leaves its slots to their owner", "[shrink]") {
  ShrinkWorld w;
  const ClientRef c = w.add(1);
  fill(w, c, 1, 0, 1'000);
  const uint64_t held = w.arena_bytes();
  w.store.reset();
  CHECK(w.slots.resident_bytes() == held);
}

TEST_CASE("shrink works on memory that can be discarded, too", "[shrink]") {
  World w({.budget_bytes = 64 * kMiB});
  const ClientRef c = w.add(1);
  fill(w, c, 1, 0, 1'000);
  fill(w, c, 0, 1'000, 14'000);
  w.store->set_arena_limit(24 * kMiB);
  ShrinkState state = ShrinkState::kMore;
  while (state == ShrinkState::kMore) state = w.store->shrink(w.worker, 64);
  CHECK(state == ShrinkState::kDone);
  CHECK(w.provider->enumerate().size() <= 12);
  CHECK(wrong(w, c, 0, 1'000) == 0);
  CHECK(w.invariants() == "hold");
}

// freeable_bytes is a promise: at least that much comes back. And it is not timid: at least 90 % of
// what came back, but for four slots (the cleaner's reserve and rounding).
TEST_CASE("freeable tells the truth for random fills", "[shrink]") {
  const uint64_t seed = GENERATE(range(1, 41));
  model::Rng rng(seed);
  ShrinkWorld w({.budget_bytes = (48 + rng.below(160)) * kMiB});
  std::vector<ClientRef> clients;
  for (uint32_t n = 1 + rng.below(5); n > 0; --n) {
    ClientSettings settings = guaranteed(rng.one_in(3) ? rng.below(8) * kMiB : 0);
    settings.compress = !rng.one_in(3);
    settings.dedup = static_cast<DedupScope>(rng.below(4));
    clients.push_back(w.add(static_cast<uint8_t>(n), settings));
  }
  const uint32_t puts = 1'000 + rng.below(30'000);
  const uint32_t persistent_percent = rng.one_in(4) ? 0 : rng.below(60);
  const uint32_t flush_percent = rng.below(40);
  const uint32_t noise_percent = rng.below(101);
  for (uint32_t i = 0; i < puts; ++i) {
    const ClientRef& c = clients[rng.below(static_cast<uint32_t>(clients.size()))];
    const uint32_t pool = rng.below(100) < persistent_percent ? 1 : 0;
    (void)w.put(c, key(pool, i / 100, i), rng.below(100) < noise_percent ? noise(i) : text(i));
    if (rng.below(100) < flush_percent) {
      const uint32_t gone = rng.below(i + 1);
      for (const uint32_t p : {0u, 1u}) (void)w.flush(c, key(p, gone / 100, gone));
    }
    if (i % 200 == 0) w.clock.advance_ms(rng.below(4'000));
    if (i % 100 == 0) (void)w.store->maintain(w.worker, 32);
  }
  if (rng.one_in(2)) REQUIRE(w.settle());
  const uint64_t freeable = w.store->stats().freeable_bytes;
  const uint64_t before = w.arena_bytes();
  CHECK(w.shrink_to(0) != ShrinkState::kMore);
  const uint64_t given = before - w.arena_bytes();
  INFO("seed " << seed << ": of " << before / kMiB << " MiB " << freeable / kMiB
               << " MiB were said to be freeable, " << given / kMiB << " were given back");
  CHECK(given >= freeable);
  CHECK(freeable + 4 * kSlot >= given / 10 * 9);
  CHECK(w.slots.resident_bytes() + given == before);
  CHECK(w.invariants() == "hold");
}

}  // namespace tmem::store
