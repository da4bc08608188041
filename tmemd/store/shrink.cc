// SPDX-License-Identifier: GPL-2.0-or-later
// Whole slots for their owner: free ones go first; then holes and ephemeral pages, as eviction
// picks them, until the rest fits into the slots that may stay; then slots are emptied, the
// sparsest first, by moving their segments. Slots with records stay, as records never move.
//
// No lock is held beyond one content's move or one segment's bookkeeping, and none while the
// provider clears a slot. Operations go on below a ceiling that follows the work (blocks.h), so
// that they need not do it.
#include <algorithm>

#include "tmemd/store/impl.h"

namespace tmem::store {
namespace {

// Slots that could not be emptied, in a row, until the caller is told: their segments were busy in
// other threads.
constexpr unsigned kDrainFailuresMax = 4096;
// Contents that move fill blocks less well than before: at most this part more, of what is kept.
constexpr uint64_t kPackingShare = 16;

uint64_t whole_slots(uint64_t bytes) {
  return (bytes + memory::kSlotBytes - 1) / memory::kSlotBytes * memory::kSlotBytes;
}

}  // namespace

// Whole slots where something is promised: the last one must not go for a part of it.
uint64_t Impl::needed_arena_bytes() const {
  const Promises promised = promises(Holes::kClosed);
  const uint64_t bytes = blocks.reserve_bytes() + promised.block_bytes();
  return promised.charged_bytes != 0 ? whole_slots(bytes) : bytes;
}

uint64_t Impl::freeable_slot_bytes() const {
  const uint64_t needed = needed_arena_bytes();
  const uint64_t stays =
      std::max(blocks.metadata_slot_bytes(), whole_slots(needed + needed / kPackingShare));
  const uint64_t attached = blocks.attached_bytes();
  return attached > stays ? attached - stays : 0;
}

// Empties the slot, which gives nothing out meanwhile. False when something stays.
bool Impl::move_out_of(Worker::State& worker, uint32_t slot, unsigned* blocks_done) {
  const auto alive = owners();
  std::vector<Owner*> known;
  for (const auto& owner : alive) known.push_back(owner.get());
  std::ranges::sort(known);
  const auto owner_at = [&](uint32_t block) -> Owner* {
    Owner* const hint = segments.owner_hint(block);
    return std::ranges::binary_search(known, hint) ? hint : nullptr;
  };
  const uint32_t first = slot * kBlocksPerSlot;
  const uint32_t end = first + kBlocksPerSlot;
  // Else what moves could go to an open segment of the same slot.
  for (uint32_t block = first; block < end; ++block)
    if (Owner* owner = owner_at(block)) segments.seal_at(*owner, block);
  for (uint32_t block = first; block < end; ++block) {
    Owner* owner = owner_at(block);
    Segment* segment = owner != nullptr ? segments.take_at(*owner, block) : nullptr;
    if (segment == nullptr) continue;
    *blocks_done += segment->blocks;
    if (!move_contents(worker, *segment)) return false;
  }
  return true;
}

bool Impl::drain_some(Worker::State& worker, uint64_t least_bytes, unsigned* blocks_done) {
  if (!blocks.can_spare_a_slot()) return false;
  const auto slot = blocks.sparsest_slot(left_slot_);
  if (!slot) return false;
  *blocks_done += kBlocksPerSlot;
  bool released = false;
  if (blocks.begin_drain(*slot, least_bytes)) {
    (void)move_out_of(worker, *slot, blocks_done);
    released = blocks.end_drain(*slot);
  }
  left_slot_ = released ? kNoSlot : *slot;
  drain_failures_ = released ? 0 : drain_failures_ + 1;
  if (released) return true;
  return drain_failures_ < kDrainFailuresMax;
}

// Makes what is in use fit into less: by closing holes where that gains much, by eviction, by
// packing what cannot be evicted. False when nothing more can be done.
bool Impl::use_less(Worker::State& worker, unsigned* blocks_done) {
  if (too_many_holes(kCleanBusy.holes_share) &&
      clean_some(worker, kCleanBusy.dead_share, blocks_done))
    return true;
  if (evict_some(worker)) {
    *blocks_done += kRunBlocksMax;
    return true;
  }
  return compress_some(worker, Tier::kRaw, kAnyAge, blocks_done) ||
         clean_some(worker, kCleanIdle.dead_share, blocks_done);
}

bool Impl::shrink_once(Worker::State& worker, uint64_t target_bytes, unsigned* blocks_done) {
  blocks.lower_ceiling(target_bytes);
  // Whatever a trim in another thread takes meanwhile. Without promises, a part of a slot keeps
  // none.
  const uint64_t least_bytes = target_bytes / memory::kSlotBytes * memory::kSlotBytes;
  // A slot takes its time to go.
  if (!blocks.presses_on_puts() && blocks.release_empty_slot(least_bytes)) {
    *blocks_done += kBlocksPerSlot;
    return true;
  }
  if (reclaim_pending(worker, kBackgroundPages)) {
    *blocks_done += 1;
    return true;
  }
  const uint64_t wanted_bytes =
      blocks.used_block_bytes() + blocks.reserve_bytes() + blocks.slack_bytes();
  if ((wanted_bytes > target_bytes || blocks.presses_on_puts()) && use_less(worker, blocks_done))
    return true;
  // A client that went for good may just have left free slots.
  return drain_some(worker, least_bytes, blocks_done) || blocks.release_empty_slot(least_bytes);
}

ShrinkState Impl::shrink(Worker::State& worker, unsigned slices) {
  const std::unique_lock only(shrink_mutex_, std::try_to_lock);
  if (!only) return ShrinkState::kMore;
  unsigned blocks_done = 0;
  while (true) {
    worker.pause();
    const uint64_t limit_bytes = blocks.arena_limit_bytes();
    if (blocks.arena_bytes() <= limit_bytes) return ShrinkState::kDone;
    const uint64_t attached_bytes = blocks.attached_bytes();
    // Below the limit but for slots that another thread gives back.
    if (blocks_done >= slices || attached_bytes <= limit_bytes) return ShrinkState::kMore;
    const uint64_t target_bytes = std::max(limit_bytes, needed_arena_bytes());
    if (attached_bytes > target_bytes && shrink_once(worker, target_bytes, &blocks_done)) continue;
    if (reclaim_pending(worker, kBackgroundPages)) {
      ++blocks_done;
      continue;
    }
    drain_failures_ = 0;
    left_slot_ = kNoSlot;
    return ShrinkState::kStuck;
  }
}

}  // namespace tmem::store
