// SPDX-License-Identifier: GPL-2.0-or-later
// The memfd slot provider: what acquire, discard and release promise.
#include "tmemd/memory/memfd.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <span>

namespace tmem::memory {
namespace {

std::unique_ptr<SlotProvider> provider(uint64_t bytes, bool populate = false) {
  auto made = create_memfd_provider({.bytes_max = bytes, .populate = populate});
  REQUIRE(made);
  return *std::move(made);
}

std::span<std::byte> bytes_of(SlotProvider& p, SlotId slot) {
  return {p.base() + static_cast<size_t>(slot) * kSlotBytes, kSlotBytes};
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

TEST_CASE("sizes are rounded up to slots, and none is refused", "[memory]") {
  CHECK(provider(1)->slots_max() == 1);
  CHECK(provider(kSlotBytes + 1)->slots_max() == 2);
  const auto none = create_memfd_provider({});
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Errc::kMalformed);
}

TEST_CASE("slots come lowest first, zeroed, and end", "[memory]") {
  const auto p = provider(3 * kSlotBytes);
  for (uint32_t i = 0; i < 3; ++i) {
    const auto slot = p->acquire();
    REQUIRE(slot);
    CHECK(*slot == SlotId{i});
    CHECK(all_zero(bytes_of(*p, *slot)));
    std::ranges::fill(bytes_of(*p, *slot), std::byte{0x5a});
  }
  const auto fourth = p->acquire();
  REQUIRE_FALSE(fourth);
  CHECK(fourth.error().code == Errc::kNoSpace);
  CHECK(p->enumerate() == std::vector<SlotId>{SlotId{0}, SlotId{1}, SlotId{2}});
  CHECK(p->resident_bytes() == 3 * kSlotBytes);
}

TEST_CASE("a released slot is given back to the system and comes again zeroed", "[memory]") {
  const auto p = provider(3 * kSlotBytes);
  for (int i = 0; i < 3; ++i)
    std::ranges::fill(bytes_of(*p, p->acquire().value()), std::byte{0x5a});
  p->release(SlotId{1});
  CHECK(p->resident_bytes() == 2 * kSlotBytes);
  CHECK(p->enumerate() == std::vector<SlotId>{SlotId{0}, SlotId{2}});
  const auto again = p->acquire();
  REQUIRE(again);
  CHECK(*again == SlotId{1});
  CHECK(all_zero(bytes_of(*p, *again)));
  CHECK_FALSE(all_zero(bytes_of(*p, SlotId{2})));
}

TEST_CASE("discarded bytes read as zeroes, their neighbours stay", "[memory]") {
  const auto p = provider(kSlotBytes);
  const SlotId slot = p->acquire().value();
  const auto bytes = bytes_of(*p, slot);
  std::ranges::fill(bytes, std::byte{0x5a});
  p->discard(slot, 8192, 16384);
  CHECK(all_zero(bytes.subspan(8192, 16384)));
  CHECK(bytes[8191] == std::byte{0x5a});
  CHECK(bytes[8192 + 16384] == std::byte{0x5a});
  CHECK(p->resident_bytes() <= kSlotBytes);
  bytes[8192] = std::byte{1};
  CHECK(bytes[8192] == std::byte{1});
}

TEST_CASE("populate commits a slot when it is acquired", "[memory]") {
  const auto p = provider(2 * kSlotBytes, true);
  CHECK(p->resident_bytes() == 0);
  REQUIRE(p->acquire());
  CHECK(p->resident_bytes() == kSlotBytes);
}

TEST_CASE("commit makes a slot's memory real and keeps its contents", "[memory]") {
  const auto p = provider(2 * kSlotBytes);
  const SlotId slot = p->acquire().value();
  bytes_of(*p, slot)[4097] = std::byte{7};
  p->commit(slot);
  CHECK(p->resident_bytes() == kSlotBytes);
  CHECK(bytes_of(*p, slot)[4097] == std::byte{7});
  CHECK(reinterpret_cast<uintptr_t>(p->base()) % kSlotBytes == 0);
  p->release(slot);
  CHECK(p->resident_bytes() == 0);
}

}  // namespace tmem::memory
