// SPDX-License-Identifier: GPL-2.0-or-later
// The arena's slots: acquired ahead of need, given back when free, drained when they shall be free.
#include <algorithm>
#include <bit>

#include "libtmem/base/assert.h"
#include "tmemd/store/blocks.h"

namespace tmem::store {
namespace {

constexpr uint64_t kAheadBytesMax = 32 * kMiB;
// A provider that cannot discard costs more to ask: some slots are kept ready for puts.
constexpr uint64_t kAheadSlotsMin = 2;
constexpr uint64_t kSlackBytesMax = 8 * kMiB;
constexpr uint32_t kSlotsPerLook = 1024;  // under one hold of the lock

uint64_t run_mask(uint32_t count) {
  return count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

}  // namespace

// ---- Acquire ----

// Counts a slot that is about to be acquired, if the limit allows another.
bool BlockAllocator::reserve_slot() {
  uint64_t held = held_slots_;
  do {
    if (!may_acquire(held)) return false;
  } while (!held_slots_.compare_exchange_weak(held, held + 1));
  return true;
}

// Lets go of the lock while the provider works.
bool BlockAllocator::acquire_slot(Lock& lock) {
  if (!reserve_slot()) return false;
  lock.unlock();
  const auto id = provider_.acquire();
  lock.lock();
  if (!id) {
    --held_slots_;
    refused_ = true;
    return false;
  }
  add_slot(static_cast<uint32_t>(*id), /*committed=*/false);
  return true;
}

void BlockAllocator::add_slot(uint32_t s, bool committed) {
  TMEM_ASSERT(s < slots_.size() && !slots_[s].attached);
  slots_[s] = Slot{};
  slots_[s].attached = true;
  slots_[s].free.fill(~uint64_t{0});
  slots_[s].stale.fill(committed ? ~uint64_t{0} : 0);
  if (committed) add_stale(kBlocksPerSlot);
  ++attached_slots_;
  update_runs(s);
}

bool BlockAllocator::acquire_ahead(uint64_t keep_bytes) {
  uint64_t wanted_bytes = std::min(keep_bytes / 4, kAheadBytesMax);
  if (!can_discard_ && keep_bytes != 0)
    wanted_bytes = std::max(wanted_bytes, kAheadSlotsMin * memory::kSlotBytes);
  const uint64_t attached = attached_bytes();
  const uint64_t free_bytes = attached - std::min(attached, used_block_bytes());
  if (free_bytes + memory::kSlotBytes > wanted_bytes) return false;
  return acquire_one();
}

bool BlockAllocator::acquire_one() {
  if (attached_bytes() + heap_bytes() + memory::kSlotBytes > budget_bytes_) return false;
  if (!reserve_slot()) return false;
  const auto id = provider_.acquire();
  if (!id) {
    --held_slots_;
    refused_ = true;
    return false;
  }
  // Not under the lock: nobody else knows the slot yet.
  provider_.commit(*id);
  const std::lock_guard lock(mutex_);
  add_slot(static_cast<uint32_t>(*id), /*committed=*/true);
  return true;
}

// ---- Give back ----

// Takes a wholly free slot out of the table: nobody gets blocks of it any more.
void BlockAllocator::detach(uint32_t s) {
  TMEM_ASSERT(slots_[s].is_empty());
  for (const uint64_t word : slots_[s].stale) add_stale(-std::popcount(word));
  slots_[s] = Slot{};
  --attached_slots_;
  update_runs(s);
}

// The provider works without our lock: an allocation never waits for it.
void BlockAllocator::give_back(uint32_t s) {
  provider_.release(memory::SlotId{s});
  --held_slots_;
  ++released_slots_;
}

bool BlockAllocator::release_empty_slot(uint64_t least_bytes) {
  if (empty_slots_ == 0) return false;
  uint32_t s = 0;
  {
    const std::lock_guard lock(mutex_);
    if (attached_bytes() < least_bytes + memory::kSlotBytes) return false;
    size_t w = empty_.size();
    while (w > 0 && empty_[w - 1] == 0) --w;
    if (w == 0) return false;
    s = static_cast<uint32_t>(w * 64) - 1 - static_cast<uint32_t>(std::countl_zero(empty_[w - 1]));
    detach(s);
  }
  give_back(s);
  return true;
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

uint64_t BlockAllocator::trim_slot(uint32_t s) {
  Bits stale{};
  bool empty = false;
  {
    const std::lock_guard lock(mutex_);
    if (!slots_[s].attached || slots_[s].draining) return 0;
    empty = slots_[s].is_empty();
    if (empty) {
      stale = slots_[s].stale;
      detach(s);
    } else {
      stale = take_stale(s);
    }
  }
  if (empty) {
    give_back(s);
    return kBlockBytes * static_cast<uint64_t>(std::popcount(stale[0]) + std::popcount(stale[1]));
  }
  const uint64_t discarded_bytes = discard(s, stale);
  const std::lock_guard lock(mutex_);
  for (uint32_t w = 0; w < stale.size(); ++w) slots_[s].free[w] |= stale[w];
  update_runs(s);
  return discarded_bytes;
}

uint64_t BlockAllocator::trim(uint64_t keep_bytes, uint32_t slots_max, uint64_t least_bytes) {
  uint64_t given_bytes = 0;
  if (can_discard_) {
    for (uint32_t s = 0; s < slots_.size() && stale_blocks_ * kBlockBytes > keep_bytes; ++s)
      given_bytes += trim_slot(s);
    return given_bytes;
  }
  const uint64_t keep_slots =
      keep_bytes == 0 ? 0 : std::max(keep_bytes / memory::kSlotBytes, kAheadSlotsMin);
  while (empty_slots_ > keep_slots && slots_max-- > 0 && release_empty_slot(least_bytes))
    given_bytes += memory::kSlotBytes;
  return given_bytes;
}

// ---- Drain ----

// A ceiling that leaves puts what they have, and the slack. Within the slots as soon as the reserve
// is: before, puts would have to evict as much by themselves.
uint64_t BlockAllocator::gentle_ceiling_bytes() const {
  const uint64_t least = used_block_bytes() + reserve_bytes();
  const uint64_t attached = attached_bytes();
  const uint64_t gentle = least + slack_bytes();
  return least <= attached ? std::min(gentle, attached) : gentle;
}

void BlockAllocator::set_arena_limit(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const uint64_t slots = std::min<uint64_t>(bytes / memory::kSlotBytes, slots_.size());
  const uint64_t limit = slots * memory::kSlotBytes;
  const uint64_t ceiling = ceiling_bytes_;
  const uint64_t gentle = std::max({limit, attached_bytes(), gentle_ceiling_bytes()});
  arena_limit_bytes_ = limit;
  ceiling_bytes_ = limit >= ceiling ? limit : std::min(ceiling, gentle);
  refused_ = false;
}

void BlockAllocator::lower_ceiling(uint64_t least_bytes) {
  const std::lock_guard lock(mutex_);
  const uint64_t gentle =
      std::max({least_bytes, arena_limit_bytes_.load(), gentle_ceiling_bytes()});
  ceiling_bytes_ = std::min(ceiling_bytes_.load(), gentle);
}

uint64_t BlockAllocator::slack_bytes() const {
  return std::clamp<uint64_t>(attached_bytes() / 16, memory::kSlotBytes, kSlackBytesMax);
}

bool BlockAllocator::presses_on_puts() const {
  return used_block_bytes() + reserve_bytes() + slack_bytes() / 2 > ceiling_bytes_;
}

bool BlockAllocator::can_spare_a_slot() const {
  return used_block_bytes() + reserve_bytes() + memory::kSlotBytes <= attached_bytes();
}

std::optional<uint32_t> BlockAllocator::sparsest_slot(uint32_t except) {
  std::optional<uint32_t> best;
  uint32_t best_used = kBlocksPerSlot + 1;
  bool except_will_do = false;
  for (uint32_t from = 0; from < slots_.size(); from += kSlotsPerLook) {
    const std::lock_guard lock(mutex_);
    const auto to = std::min<uint32_t>(from + kSlotsPerLook, static_cast<uint32_t>(slots_.size()));
    for (uint32_t s = from; s < to; ++s) {
      const Slot& slot = slots_[s];
      if (!slot.attached || slot.draining || slot.metadata_blocks != 0) continue;
      if (s == except) {
        except_will_do = true;
      } else if (slot.used_blocks <= best_used) {
        best = s;
        best_used = slot.used_blocks;
      }
    }
  }
  if (!best && except_will_do) best = except;
  return best;
}

bool BlockAllocator::begin_drain(uint32_t s, uint64_t least_bytes) {
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_[s];
  if (!slot.attached || slot.draining || slot.metadata_blocks != 0) return false;
  if (attached_bytes() < least_bytes + memory::kSlotBytes) return false;
  slot.draining = true;
  --attached_slots_;
  update_runs(s);
  return true;
}

bool BlockAllocator::end_drain(uint32_t s) {
  {
    const std::lock_guard lock(mutex_);
    TMEM_ASSERT(slots_[s].draining);
    slots_[s].draining = false;
    ++attached_slots_;
    update_runs(s);
    if (!slots_[s].is_empty()) return false;
    detach(s);
  }
  give_back(s);
  return true;
}

}  // namespace tmem::store
