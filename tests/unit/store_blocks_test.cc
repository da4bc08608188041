// SPDX-License-Identifier: GPL-2.0-or-later
// The arena's slots: records apart from segments, the limit, draining.
#include <catch2/catch.hpp>
#include <set>

#include "tests/model/rng.h"
#include "tests/model/whole_slots.h"
#include "tmemd/memory/memfd.h"
#include "tmemd/store/blocks.h"

namespace tmem::store {
namespace {

constexpr uint64_t kSlot = memory::kSlotBytes;

uint32_t slot_of(uint32_t block) {
  return block / kBlocksPerSlot;
}

// All blocks that can be had, one at a time.
std::vector<uint32_t> take_all(BlockAllocator& blocks) {
  std::vector<uint32_t> taken;
  while (const auto block = blocks.allocate_run(Purpose::kReserve)) taken.push_back(*block);
  return taken;
}

}  // namespace

TEST_CASE("records and segments lie in slots apart until there are no more slots", "[blocks]") {
  model::WholeSlots provider(8 * kSlot);
  BlockAllocator blocks(provider, 8 * kSlot);
  std::set<uint32_t> records;
  std::set<uint32_t> segments;
  uint32_t first = 0;
  for (uint32_t i = 0; i < 2 * kBlocksPerSlot; ++i) {
    records.insert(slot_of(blocks.allocate_metadata(Purpose::kReserve).value()));
    if (i % kRunBlocksMax == 0)
      first = blocks.allocate_run(Purpose::kReserve).value();
    else
      REQUIRE(blocks.extend(first, i % kRunBlocksMax, Purpose::kReserve));
    segments.insert(slot_of(first));
  }
  CHECK(records.size() == 2);
  for (const uint32_t slot : records) CHECK_FALSE(segments.contains(slot));
  CHECK(blocks.metadata_slot_bytes() == 2 * kSlot);
  const size_t rest = take_all(blocks).size();
  CHECK(rest == 4 * kBlocksPerSlot);  // all of it is of use
  CHECK(blocks.violation().value_or("") == "");
}

TEST_CASE("when no slot can be had, records and segments mix", "[blocks]") {
  model::WholeSlots provider(2 * kSlot);
  BlockAllocator blocks(provider, 2 * kSlot);
  const uint32_t record = blocks.allocate_metadata(Purpose::kReserve).value();
  const auto segments = take_all(blocks);
  CHECK(segments.size() == 2 * kBlocksPerSlot - 1);
  CHECK_FALSE(blocks.allocate_metadata(Purpose::kReserve));
  const uint32_t other = slot_of(record) == 0 ? 1 : 0;
  for (const uint32_t block : segments)
    if (slot_of(block) == other) blocks.free(block, 1);
  const auto second = blocks.allocate_metadata(Purpose::kReserve);
  REQUIRE(second);
  CHECK(slot_of(*second) == other);
  CHECK(blocks.metadata_slot_bytes() == 2 * kSlot);
  blocks.free_metadata(*second);
  CHECK(blocks.metadata_slot_bytes() == kSlot);
  CHECK(blocks.violation().value_or("") == "");
}

TEST_CASE("slots are not acquired beyond the limit, and it may rise again", "[blocks]") {
  model::WholeSlots provider(16 * kSlot);
  BlockAllocator blocks(provider, 16 * kSlot);
  blocks.set_arena_limit(4 * kSlot + kSlot / 2);
  CHECK(take_all(blocks).size() == 4 * kBlocksPerSlot);
  CHECK(provider.acquired() == 4);
  CHECK_FALSE(blocks.acquire_ahead(64 * kMiB));
  blocks.set_arena_limit(6 * kSlot);
  CHECK(take_all(blocks).size() == 2 * kBlocksPerSlot);
  blocks.set_arena_limit(~uint64_t{0});
  CHECK(take_all(blocks).size() == 10 * kBlocksPerSlot);
  CHECK(blocks.arena_bytes() == 16 * kSlot);
}

TEST_CASE("a limit below what is held leaves the reserve to the cleaner", "[blocks]") {
  model::WholeSlots provider(16 * kSlot);
  BlockAllocator blocks(provider, 16 * kSlot);
  blocks.set_arena_limit(8 * kSlot);
  uint64_t normal = 0;
  while (blocks.allocate_run(Purpose::kNormal)) ++normal;
  const uint64_t reserve = BlockAllocator::reserve_bytes(8 * kSlot);
  CHECK(normal * kBlockBytes == 8 * kSlot - reserve);
  CHECK(take_all(blocks).size() * kBlockBytes == reserve);
}

TEST_CASE("a provider that refuses is asked again when told so", "[blocks]") {
  model::WholeSlots provider(8 * kSlot);
  provider.set_available(2);
  BlockAllocator blocks(provider, 8 * kSlot);
  CHECK(take_all(blocks).size() == 2 * kBlocksPerSlot);
  provider.set_available(3);
  CHECK(take_all(blocks).empty());
  blocks.ask_provider_again();
  CHECK(take_all(blocks).size() == kBlocksPerSlot);
}

TEST_CASE("a draining slot gives nothing out and goes back when it is free", "[blocks]") {
  model::WholeSlots provider(4 * kSlot);
  BlockAllocator blocks(provider, 4 * kSlot);
  const auto taken = take_all(blocks);
  for (const uint32_t block : taken)
    if (slot_of(block) == 2 ? block % 8 != 0 : block % 2 != 0) blocks.free(block, 1);
  CHECK(blocks.sparsest_slot(~0u) == 2u);
  CHECK(blocks.sparsest_slot(2) != 2u);
  REQUIRE(blocks.begin_drain(2));
  CHECK_FALSE(blocks.begin_drain(2));
  CHECK_FALSE(blocks.extend(2 * kBlocksPerSlot, 1, Purpose::kReserve));
  const auto elsewhere = take_all(blocks);
  CHECK(elsewhere.size() == 3 * kBlocksPerSlot / 2);
  for (const uint32_t block : elsewhere) CHECK(slot_of(block) != 2);
  for (uint32_t b = 0; b < kBlocksPerSlot; b += 8) {
    CHECK_FALSE(blocks.end_drain(2));  // still in use
    REQUIRE(blocks.begin_drain(2));
    blocks.free(2 * kBlocksPerSlot + b, 1);
  }
  CHECK(blocks.end_drain(2));
  CHECK(provider.enumerate().size() == 3);
  CHECK(take_all(blocks).size() == kBlocksPerSlot);
  CHECK(blocks.violation().value_or("") == "");
}

TEST_CASE("slots that are to stay neither drain nor go back", "[blocks]") {
  model::WholeSlots provider(4 * kSlot);
  BlockAllocator blocks(provider, 4 * kSlot);
  for (const uint32_t block : take_all(blocks)) blocks.free(block, 1);
  CHECK_FALSE(blocks.begin_drain(2, 4 * kSlot));
  CHECK_FALSE(blocks.release_empty_slot(4 * kSlot));
  REQUIRE(blocks.begin_drain(2, 3 * kSlot));
  CHECK_FALSE(blocks.release_empty_slot(3 * kSlot));
  CHECK(blocks.end_drain(2));
  CHECK(blocks.violation().value_or("") == "");
}

TEST_CASE("slots with records are not drained", "[blocks]") {
  model::WholeSlots provider(2 * kSlot);
  BlockAllocator blocks(provider, 2 * kSlot);
  const uint32_t record = blocks.allocate_metadata(Purpose::kReserve).value();
  CHECK_FALSE(blocks.sparsest_slot(~0u));
  CHECK_FALSE(blocks.begin_drain(slot_of(record)));
  blocks.free_metadata(record);
  CHECK(blocks.sparsest_slot(~0u) == slot_of(record));
}

TEST_CASE("trim gives whole slots back, the highest first, and keeps what it is told to",
          "[blocks]") {
  model::WholeSlots provider(16 * kSlot);
  BlockAllocator blocks(provider, 16 * kSlot);
  const auto taken = take_all(blocks);
  CHECK(blocks.trim(0) == 0);
  for (const uint32_t block : taken)
    if (slot_of(block) >= 4) blocks.free(block, 1);
  CHECK(blocks.trim(6 * kSlot, 2) == 2 * kSlot);
  CHECK(blocks.trim(6 * kSlot) == 4 * kSlot);
  CHECK(provider.enumerate().back() == memory::SlotId{9});
  CHECK(blocks.trim(0) == 6 * kSlot);
  CHECK(blocks.held_bytes() == 4 * kSlot);
  blocks.free(taken[0], 1);
  CHECK(blocks.trim(0) == 0);  // part of a slot
}

TEST_CASE("slots outlive the arena", "[blocks]") {
  model::WholeSlots provider(4 * kSlot);
  {
    BlockAllocator blocks(provider, 4 * kSlot);
    (void)take_all(blocks);
  }
  CHECK(provider.enumerate().size() == 4);
}

TEST_CASE("random work keeps the figures right", "[blocks]") {
  const bool discards = GENERATE(true, false);
  std::unique_ptr<memory::SlotProvider> provider;
  if (discards)
    provider = *memory::create_memfd_provider({.bytes_max = 32 * kSlot});
  else
    provider = std::make_unique<model::WholeSlots>(32 * kSlot);
  BlockAllocator blocks(*provider, 32 * kSlot);
  model::Rng rng(discards ? 5 : 6);
  std::vector<uint32_t> segments;
  std::vector<uint32_t> records;
  for (uint32_t i = 0; i < 60'000; ++i) {
    const uint32_t what = rng.below(100);
    const bool grow = i / 8'000 % 2 == 0;
    auto& of = rng.one_in(4) ? records : segments;
    if (what < (grow ? 60u : 35u)) {
      const auto block = &of == &records ? blocks.allocate_metadata(Purpose::kNormal)
                                         : blocks.allocate_run(Purpose::kNormal);
      if (block) of.push_back(*block);
    } else if (what < 97 && !of.empty()) {
      std::swap(of[rng.below(static_cast<uint32_t>(of.size()))], of.back());
      if (&of == &records)
        blocks.free_metadata(of.back());
      else
        blocks.free(of.back(), 1);
      of.pop_back();
    } else if (what == 97) {
      (void)blocks.trim(rng.below(8) * kSlot);
    } else if (what == 98) {
      blocks.set_arena_limit(rng.below(33) * kSlot);
    } else {
      const auto slot = blocks.sparsest_slot(~0u);
      if (slot && blocks.begin_drain(*slot)) (void)blocks.end_drain(*slot);
    }
    if (i % 512 == 0) REQUIRE(blocks.violation().value_or("") == "");
  }
  CHECK(blocks.used_block_bytes() == (segments.size() + records.size()) * kBlockBytes);
  CHECK(provider->enumerate().size() * kSlot == blocks.arena_bytes());
  for (const uint32_t block : segments) blocks.free(block, 1);
  for (const uint32_t block : records) blocks.free_metadata(block);
  (void)blocks.trim(0);
  CHECK(blocks.arena_bytes() == (discards ? blocks.arena_bytes() : 0));
  CHECK(blocks.held_bytes() == 0);
  CHECK(blocks.violation().value_or("") == "");
}

}  // namespace tmem::store
