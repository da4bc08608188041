// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/store/blocks.h"

#include <algorithm>
#include <bit>

#include "libtmem/base/assert.h"

namespace tmem::store {
namespace {

// Bits at the starts of aligned free runs of 2^order within one word.
uint64_t run_starts(uint64_t free, unsigned order) {
  static constexpr std::array<uint64_t, kOrderMax + 1> kAligned = {
      ~uint64_t{0}, 0x5555555555555555, 0x1111111111111111, 0x0101010101010101, 0x0001000100010001};
  for (unsigned o = 0; o < order; ++o) free &= free >> (1u << o);
  return free & kAligned[order];
}

uint64_t run_mask(uint32_t count) {
  return count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

// Sets or clears a slot's bit; the change in the number of bits.
int set_bit(std::vector<uint64_t>& bits, uint32_t slot, bool value) {
  const uint64_t bit = uint64_t{1} << (slot % 64);
  uint64_t& word = bits[slot / 64];
  const bool before = (word & bit) != 0;
  word = value ? word | bit : word & ~bit;
  return int{value} - int{before};
}

std::optional<uint32_t> lowest(const std::vector<uint64_t>& bits) {
  for (uint32_t w = 0; w < bits.size(); ++w)
    if (bits[w] != 0) return w * 64 + static_cast<uint32_t>(std::countr_zero(bits[w]));
  return std::nullopt;
}

}  // namespace

BlockAllocator::BlockAllocator(memory::SlotProvider& provider, uint64_t budget_bytes,
                               uint64_t heap_bytes_max)
    : provider_(provider),
      base_(provider.base()),
      can_discard_(provider.can_discard()),
      heap_bytes_max_(heap_bytes_max),
      budget_bytes_(budget_bytes),
      arena_limit_bytes_(uint64_t{provider.slots_max()} * memory::kSlotBytes),
      ceiling_bytes_(arena_limit_bytes_.load()),
      slots_(provider.slots_max()) {
  const size_t words = (slots_.size() + 63) / 64;
  for (auto& of_class : has_run_)
    for (SlotBits& bits : of_class) bits.resize(words);
  empty_.resize(words);
  for (const memory::SlotId slot : provider.enumerate()) {
    ++held_slots_;
    add_slot(static_cast<uint32_t>(slot), /*committed=*/true);
  }
}

uint64_t BlockAllocator::reserve_bytes(uint64_t budget) {
  return std::min(std::max(2 * uint64_t{memory::kSlotBytes}, budget / 50), budget / 16);
}

// The reserve is at most bytes / 15 of `bytes` and itself, and at most 2 slots or bytes / 48.
uint64_t BlockAllocator::room_for(uint64_t bytes) {
  return bytes + std::min(std::max(2 * uint64_t{memory::kSlotBytes}, bytes / 48), bytes / 15 + 1);
}

uint64_t BlockAllocator::slots_ceiling_bytes() const {
  const uint64_t ceiling = ceiling_bytes_;
  return refused_ ? std::min(ceiling, attached_bytes()) : ceiling;
}

uint64_t BlockAllocator::room_bytes() const {
  return std::min(budget_bytes_.load(), heap_bytes() + slots_ceiling_bytes());
}

uint64_t BlockAllocator::lasting_bytes() const {
  return std::min(room_bytes(), heap_bytes() + arena_limit_bytes_);
}

bool BlockAllocator::has_room(Purpose purpose) const {
  if (purpose == Purpose::kNormal && !has_heap()) return false;
  const uint64_t room = room_bytes();
  const uint64_t kept = purpose == Purpose::kNormal ? reserve_bytes(room) : 0;
  return used_bytes() + kBlockBytes + kept <= room;
}

void BlockAllocator::update_runs(uint32_t s) {
  const Slot& slot = slots_[s];
  const bool listed = slot.attached && !slot.draining;
  const Class own = slot.metadata_blocks != 0 ? kMetadata : kData;
  for (unsigned order = 0; order <= kOrderMax; ++order) {
    const bool has = std::any_of(slot.free.begin(), slot.free.end(),
                                 [order](uint64_t word) { return run_starts(word, order) != 0; });
    set_bit(has_run_[own][order], s, has && listed);
    set_bit(has_run_[own == kData ? kMetadata : kData][order], s, false);
  }
  const int step = set_bit(empty_, s, slot.is_empty() && listed);
  empty_slots_ += static_cast<uint64_t>(int64_t{step});
}

std::optional<uint32_t> BlockAllocator::find_run(Class in, unsigned order) const {
  return lowest(has_run_[in][order]);
}

// Marks a free block as used.
void BlockAllocator::take(uint32_t block, Purpose purpose) {
  const uint32_t s = block / kBlocksPerSlot;
  const uint32_t b = block % kBlocksPerSlot;
  const uint64_t bit = uint64_t{1} << (b % 64);
  Slot& slot = slots_[s];
  TMEM_ASSERT((slot.free[b / 64] & bit) != 0 && !slot.draining);
  slot.free[b / 64] &= ~bit;
  if ((slot.stale[b / 64] & bit) != 0) add_stale(-1);
  slot.stale[b / 64] &= ~bit;
  ++slot.used_blocks;
  update_runs(s);
  ++used_blocks_;
  if (purpose == Purpose::kNormal) ++allocations_;
}

std::optional<uint32_t> BlockAllocator::allocate_metadata(Purpose purpose) {
  Lock lock(mutex_);
  if (!has_room(purpose)) return std::nullopt;
  auto s = find_run(kMetadata, 0);
  if (!s) s = lowest(empty_);
  if (!s && acquire_slot(lock)) s = lowest(empty_);
  if (!s) s = find_run(kMetadata, 0);  // the lock was free meanwhile
  if (!s) s = find_run(kData, 0);
  if (!s || !has_room(purpose)) return std::nullopt;
  Slot& slot = slots_[*s];
  const uint32_t w = slot.free[1] != 0 ? 1 : 0;
  const uint32_t block =
      *s * kBlocksPerSlot + w * 64 + 63 - static_cast<uint32_t>(std::countl_zero(slot.free[w]));
  if (slot.metadata_blocks++ == 0) ++metadata_slots_;
  take(block, purpose);
  return block;
}

std::optional<uint32_t> BlockAllocator::allocate_run(Purpose purpose) {
  Lock lock(mutex_);
  if (!has_room(purpose)) return std::nullopt;
  unsigned order = kOrderMax;
  auto s = find_run(kData, order);
  if (!s && acquire_slot(lock)) s = find_run(kData, order);
  for (const Class in : {kData, kMetadata})
    for (unsigned tried = kOrderMax + 1; !s && tried-- > 0;) s = find_run(in, order = tried);
  if (!s || !has_room(purpose)) return std::nullopt;
  for (uint32_t w = 0; w < slots_[*s].free.size(); ++w) {
    const uint64_t starts = run_starts(slots_[*s].free[w], order);
    if (starts == 0) continue;
    const uint32_t block =
        *s * kBlocksPerSlot + w * 64 + static_cast<uint32_t>(std::countr_zero(starts));
    take(block, purpose);
    return block;
  }
  TMEM_ASSERT(!"has_run_ names a slot without a run");
  return std::nullopt;
}

bool BlockAllocator::extend(uint32_t first, uint32_t count, Purpose purpose) {
  const uint32_t next = first + count;
  if (next % kBlocksPerSlot == 0) return false;
  const std::lock_guard lock(mutex_);
  const Slot& slot = slots_[next / kBlocksPerSlot];
  const uint64_t word = slot.free[next % kBlocksPerSlot / 64];
  if ((word >> (next % 64) & 1) == 0 || slot.draining || !has_room(purpose)) return false;
  take(next, purpose);
  return true;
}

void BlockAllocator::put_free(Slot& slot, uint32_t first, uint32_t count) {
  TMEM_ASSERT(slot.used_blocks >= count);
  slot.used_blocks = static_cast<uint8_t>(slot.used_blocks - count);
  used_blocks_ -= count;
  add_stale(count);
  for (uint32_t b = first; count > 0;) {
    const uint32_t here = std::min(count, 64 - b % 64);
    const uint64_t mask = run_mask(here) << (b % 64);
    TMEM_ASSERT((slot.free[b / 64] & mask) == 0);
    slot.free[b / 64] |= mask;
    slot.stale[b / 64] |= mask;
    b += here;
    count -= here;
  }
}

void BlockAllocator::free(uint32_t first, uint32_t count) {
  const std::lock_guard lock(mutex_);
  const uint32_t s = first / kBlocksPerSlot;
  put_free(slots_[s], first % kBlocksPerSlot, count);
  update_runs(s);
}

void BlockAllocator::free_metadata(uint32_t block) {
  const std::lock_guard lock(mutex_);
  const uint32_t s = block / kBlocksPerSlot;
  Slot& slot = slots_[s];
  TMEM_ASSERT(slot.metadata_blocks != 0);
  if (--slot.metadata_blocks == 0) --metadata_slots_;
  put_free(slot, block % kBlocksPerSlot, 1);
  update_runs(s);
}

std::optional<std::string> BlockAllocator::violation() const {
  const std::lock_guard lock(mutex_);
  uint64_t used = 0;
  uint64_t attached = 0;
  uint64_t metadata = 0;
  uint64_t empty = 0;
  for (uint32_t s = 0; s < slots_.size(); ++s) {
    const Slot& slot = slots_[s];
    used += slot.used_blocks;
    attached += slot.attached && !slot.draining ? 1 : 0;
    metadata += slot.metadata_blocks != 0 ? 1 : 0;
    empty += empty_[s / 64] >> (s % 64) & 1;
    const auto free =
        static_cast<uint32_t>(std::popcount(slot.free[0]) + std::popcount(slot.free[1]));
    if (slot.attached && slot.used_blocks + free > kBlocksPerSlot)
      return "a slot has more blocks than it can";
    if (!slot.attached && (slot.used_blocks != 0 || free != 0)) return "a slot given back is used";
  }
  if (used != used_blocks_) return "the number of used blocks is wrong";
  if (attached != attached_slots_ || held_slots_ < attached) return "the number of slots is wrong";
  if (metadata != metadata_slots_) return "the number of slots with records is wrong";
  if (empty != empty_slots_) return "the number of empty slots is wrong";
  return std::nullopt;
}

}  // namespace tmem::store
