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

constexpr uint64_t kAheadBytesMax = 32 * kMiB;

uint64_t run_mask(uint32_t count) {
  return count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

}  // namespace

BlockAllocator::BlockAllocator(memory::SlotProvider& provider, uint64_t budget_bytes)
    : provider_(provider),
      base_(provider.base()),
      budget_bytes_(budget_bytes),
      slots_(provider.slots_max()) {
  for (auto& bits : has_run_) bits.resize((slots_.size() + 63) / 64);
}

BlockAllocator::~BlockAllocator() {
  for (uint32_t s = 0; s < slots_.size(); ++s)
    if (slots_[s].acquired) provider_.release(memory::SlotId{s});
}

uint64_t BlockAllocator::reserve_bytes(uint64_t budget) {
  return std::min(std::max(2 * uint64_t{memory::kSlotBytes}, budget / 50), budget / 16);
}

bool BlockAllocator::has_room(Purpose purpose) const {
  const uint64_t kept = purpose == Purpose::kNormal ? reserve_bytes() : 0;
  return used_bytes() + kBlockBytes + kept <= budget_bytes_;
}

void BlockAllocator::update_runs(uint32_t slot) {
  const Bits& free = slots_[slot].free;
  for (unsigned order = 0; order <= kOrderMax; ++order) {
    const bool has = std::any_of(free.begin(), free.end(),
                                 [order](uint64_t word) { return run_starts(word, order) != 0; });
    const uint64_t bit = uint64_t{1} << (slot % 64);
    uint64_t& word = has_run_[order][slot / 64];
    word = has ? word | bit : word & ~bit;
  }
}

std::optional<uint32_t> BlockAllocator::find_slot(unsigned order) {
  const auto& bits = has_run_[order];
  for (uint32_t w = 0; w < bits.size(); ++w)
    if (bits[w] != 0) return w * 64 + static_cast<uint32_t>(std::countr_zero(bits[w]));
  return std::nullopt;
}

bool BlockAllocator::acquire_slot() {
  const auto id = provider_.acquire();
  if (!id) return false;
  add_slot(static_cast<uint32_t>(*id), /*committed=*/false);
  return true;
}

void BlockAllocator::add_slot(uint32_t s, bool committed) {
  TMEM_ASSERT(s < slots_.size() && !slots_[s].acquired);
  slots_[s].acquired = true;
  slots_[s].free.fill(~uint64_t{0});
  slots_[s].stale.fill(committed ? ~uint64_t{0} : 0);
  if (committed) add_stale(kBlocksPerSlot);
  ++acquired_slots_;
  update_runs(s);
}

bool BlockAllocator::acquire_ahead(uint64_t keep_bytes) {
  const uint64_t wanted_bytes = std::min(keep_bytes / 4, kAheadBytesMax);
  const uint64_t acquired_bytes = acquired_slots_ * memory::kSlotBytes;
  const uint64_t free_bytes = acquired_bytes - std::min(acquired_bytes, used_block_bytes());
  if (free_bytes + memory::kSlotBytes > wanted_bytes) return false;
  if (acquired_bytes + heap_bytes() + memory::kSlotBytes > budget_bytes_) return false;
  const auto id = provider_.acquire();
  if (!id) return false;
  // Not under the lock: nobody else knows the slot yet.
  provider_.commit(*id);
  const std::lock_guard lock(mutex_);
  add_slot(static_cast<uint32_t>(*id), /*committed=*/true);
  return true;
}

// Marks a free block as used.
void BlockAllocator::take(uint32_t block, Purpose purpose) {
  const uint32_t s = block / kBlocksPerSlot;
  const uint32_t b = block % kBlocksPerSlot;
  const uint64_t bit = uint64_t{1} << (b % 64);
  Slot& slot = slots_[s];
  TMEM_ASSERT((slot.free[b / 64] & bit) != 0);
  slot.free[b / 64] &= ~bit;
  if ((slot.stale[b / 64] & bit) != 0) add_stale(-1);
  slot.stale[b / 64] &= ~bit;
  update_runs(s);
  ++used_blocks_;
  if (purpose == Purpose::kNormal) ++allocations_;
}

std::optional<uint32_t> BlockAllocator::allocate(Purpose purpose) {
  const std::lock_guard lock(mutex_);
  if (!has_room(purpose)) return std::nullopt;
  auto s = find_slot(0);
  if (!s) s = acquire_slot() ? find_slot(0) : std::nullopt;
  if (!s) return std::nullopt;
  const Bits& free = slots_[*s].free;
  const uint32_t w = free.back() != 0 ? static_cast<uint32_t>(free.size()) - 1 : 0;
  const uint32_t block =
      *s * kBlocksPerSlot + w * 64 + 63 - static_cast<uint32_t>(std::countl_zero(free[w]));
  take(block, purpose);
  return block;
}

std::optional<uint32_t> BlockAllocator::allocate_run(Purpose purpose) {
  const std::lock_guard lock(mutex_);
  if (!has_room(purpose)) return std::nullopt;
  auto s = find_slot(kOrderMax);
  if (!s && acquire_slot()) s = find_slot(kOrderMax);
  unsigned order = kOrderMax;
  while (!s && order > 0) s = find_slot(--order);
  if (!s) return std::nullopt;
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
  const uint64_t word = slots_[next / kBlocksPerSlot].free[next % kBlocksPerSlot / 64];
  if ((word >> (next % 64) & 1) == 0 || !has_room(purpose)) return false;
  take(next, purpose);
  return true;
}

void BlockAllocator::free(uint32_t first, uint32_t count) {
  const std::lock_guard lock(mutex_);
  const uint32_t s = first / kBlocksPerSlot;
  Slot& slot = slots_[s];
  for (uint32_t b = first % kBlocksPerSlot; count > 0;) {
    const uint32_t here = std::min(count, 64 - b % 64);
    const uint64_t mask = run_mask(here) << (b % 64);
    TMEM_ASSERT((slot.free[b / 64] & mask) == 0);
    slot.free[b / 64] |= mask;
    slot.stale[b / 64] |= mask;
    used_blocks_ -= here;
    add_stale(here);
    b += here;
    count -= here;
  }
  update_runs(s);
}

// Takes the free blocks that cost memory out of the slot, so that nobody gets them meanwhile.
BlockAllocator::Bits BlockAllocator::take_stale(uint32_t s) {
  Slot& slot = slots_[s];
  const Bits taken = slot.stale;
  for (uint32_t w = 0; w < taken.size(); ++w) {
    slot.free[w] &= ~taken[w];
    add_stale(-std::popcount(taken[w]));
  }
  slot.stale.fill(0);
  update_runs(s);
  return taken;
}

uint64_t BlockAllocator::discard(uint32_t s, Bits blocks) {
  uint64_t discarded_bytes = 0;
  for (uint32_t w = 0; w < blocks.size(); ++w) {
    while (blocks[w] != 0) {
      const auto from = static_cast<uint32_t>(std::countr_zero(blocks[w]));
      const auto count = static_cast<uint32_t>(std::countr_one(blocks[w] >> from));
      provider_.discard(memory::SlotId{s}, (size_t{w} * 64 + from) * kBlockBytes,
                        count * kBlockBytes);
      blocks[w] &= ~(run_mask(count) << from);
      discarded_bytes += count * kBlockBytes;
    }
  }
  return discarded_bytes;
}

// The provider works without our lock: an allocation never waits for it.
uint64_t BlockAllocator::trim_slot(uint32_t s) {
  Bits stale{};
  bool empty = false;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slots_[s];
    if (!slot.acquired) return 0;
    empty = std::all_of(slot.free.begin(), slot.free.end(),
                        [](uint64_t word) { return word == ~uint64_t{0}; });
    stale = take_stale(s);
    if (empty) {
      slot = Slot{};
      --acquired_slots_;
      update_runs(s);
    }
  }
  if (empty) {
    provider_.release(memory::SlotId{s});
    ++released_slots_;
    uint64_t blocks = 0;
    for (const uint64_t word : stale) blocks += static_cast<uint64_t>(std::popcount(word));
    return blocks * kBlockBytes;
  }
  const uint64_t discarded_bytes = discard(s, stale);
  const std::lock_guard lock(mutex_);
  for (uint32_t w = 0; w < stale.size(); ++w) slots_[s].free[w] |= stale[w];
  update_runs(s);
  return discarded_bytes;
}

uint64_t BlockAllocator::trim(uint64_t keep_bytes) {
  uint64_t given_bytes = 0;
  for (uint32_t s = 0; s < slots_.size() && stale_blocks_ * kBlockBytes > keep_bytes; ++s)
    given_bytes += trim_slot(s);
  return given_bytes;
}

}  // namespace tmem::store
