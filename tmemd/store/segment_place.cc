// SPDX-License-Identifier: GPL-2.0-or-later
// Segments looked up by where they lie. A block's entry may be out of date: it says more only under
// the lock of the owner that the segment still has, as a free segment has none.
#include "tmemd/store/segment.h"

namespace tmem::store {

Owner* SegmentStore::owner_hint(uint32_t block) {
  Segment* segment = by_block_[block].load(std::memory_order_acquire);
  if (segment == nullptr) return nullptr;
  return std::atomic_ref(segment->owner).load(std::memory_order_relaxed);
}

// The caller holds the owner's lock.
Segment* SegmentStore::locked_at(const Owner& owner, uint32_t block) {
  Segment* segment = by_block_[block].load(std::memory_order_acquire);
  if (segment == nullptr) return nullptr;
  if (std::atomic_ref(segment->owner).load(std::memory_order_relaxed) != &owner) return nullptr;
  const bool there =
      block >= segment->first_block && block - segment->first_block < segment->blocks;
  return there ? segment : nullptr;
}

void SegmentStore::seal_at(Owner& owner, uint32_t block) {
  const std::lock_guard lock(owner.lock);
  Segment* segment = locked_at(owner, block);
  if (segment != nullptr && segment->state == SegmentState::kOpen) seal_locked(*segment);
}

Segment* SegmentStore::take_at(Owner& owner, uint32_t block) {
  const std::lock_guard lock(owner.lock);
  Segment* segment = locked_at(owner, block);
  if (segment == nullptr || segment->state != SegmentState::kSealed) return nullptr;
  make_busy(*segment);
  return segment;
}

}  // namespace tmem::store
