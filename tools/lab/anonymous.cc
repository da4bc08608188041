// SPDX-License-Identifier: GPL-2.0-or-later
// GuestMemory's anonymous pages: faults, swap-in, frontswap. A page's bytes are made when they are
// swapped out: until then nobody but the process could see them.
#include <fmt/format.h>

#include <cstring>

#include "libtmem/base/assert.h"
#include "tools/lab/guest_memory.h"
#include "tools/lab/rng.h"

namespace tmem::lab {

SpaceId GuestMemory::create_space() {
  SpaceId id = 0;
  if (free_spaces_.empty()) {
    id = static_cast<SpaceId>(spaces_.size());
    spaces_.emplace_back();
  } else {
    id = free_spaces_.back();
    free_spaces_.pop_back();
  }
  spaces_[id] = {true, mix(parameters_.seed + guest_, 500, next_space_name_++), {}};
  return id;
}

void GuestMemory::destroy_space(SpaceId id) {
  Space& space = spaces_[id];
  TMEM_ASSERT(space.live);
  std::vector<PageOp> flushes;
  for (const AnonPage& page : space.pages) {
    if (page.frame != kNoFrame) {
      frames_.remove(page.frame);
      frames_.give_back(page.frame);
    }
    if (page.slot != kNoSlot) free_slot(page.slot, flushes);
  }
  run(flushes);
  committed_ -= space_pages(id);
  space.live = false;
  space.pages.clear();
  free_spaces_.push_back(id);
}

void GuestMemory::grow(SpaceId id, uint32_t pages) {
  for (uint32_t i = 0; i < pages && !failure_; ++i) {
    const FrameId frame = allocate();
    if (frame == kNoFrame) return;
    const uint32_t page = space_pages(id);
    spaces_[id].pages.emplace_back();
    ++committed_;
    map_anonymous(id, page, frame);
    effects_.cpu_ns += model_.cost.anon_fault_ns;
  }
}

void GuestMemory::map_anonymous(SpaceId id, uint32_t page, FrameId frame_id) {
  Frame& frame = frames_[frame_id];
  frame.mapped = frame.young = true;
  frame.owner = id;
  frame.index = page;
  spaces_[id].pages[page].frame = frame_id;
  frames_.add_newest(frame_id, List::kActiveAnon);
}

void GuestMemory::touch(SpaceId id, uint32_t page, bool write) {
  effects_.cpu_ns += model_.cost.touch_ns;
  if (spaces_[id].pages[page].frame == kNoFrame && !swap_in(id, page)) return;
  AnonPage& anon = spaces_[id].pages[page];
  frames_[anon.frame].young = true;
  if (!write) return;
  ++anon.version;
  if (anon.slot != kNoSlot) {  // the copy in swap is out of date
    std::vector<PageOp> flush;
    free_slot(anon.slot, flush);
    run(flush);
    anon.slot = kNoSlot;
  }
}

bool GuestMemory::swap_in(SpaceId id, uint32_t page) {
  const FrameId frame = allocate();
  if (frame == kNoFrame) return false;
  effects_.cpu_ns += model_.cost.major_fault_ns;
  AnonPage& anon = spaces_[id].pages[page];
  TMEM_ASSERT(anon.slot != kNoSlot);
  if (swap_[anon.slot].in_frontswap) {
    if (!load_from_frontswap(anon.slot, frame)) return false;
  } else {
    std::vector<uint64_t> blocks{swap_block(anon.slot)};
    counters_.swap_sectors_read += kSectorsPerPage;
    request_blocks(blocks, false);
  }
  if (swap_.half_full()) {  // vm_swap_full(): do not keep the copy
    std::vector<PageOp> flush;
    free_slot(anon.slot, flush);
    run(flush);
    anon.slot = kNoSlot;
  }
  map_anonymous(id, page, frame);
  return true;
}

bool GuestMemory::load_from_frontswap(SlotId slot, FrameId frame) {
  std::vector<PageOp> get{frontswap_op(StoreOp::kGet, slot, frames_.bytes(frame).data())};
  run(get);
  if (!get[0].ok) {
    fail_run(fmt::format("guest {} lost a page of frontswap: the store is broken", guest_));
    return false;
  }
  ++counters_.frontswap_hits;
  ++counters_.pages_compared;
  const Space& space = spaces_[swap_[slot].space];
  const uint32_t page = swap_[slot].page;
  alignas(64) std::array<std::byte, kPageBytes> expected{};
  contents_.anonymous_page(mix(space.name, page), space.pages[page].version, expected);
  if (std::memcmp(expected.data(), frames_.bytes(frame).data(), kPageBytes) != 0) {
    fail_run(fmt::format("guest {} got wrong bytes from frontswap: the store is broken", guest_));
    return false;
  }
  return true;
}

// Frees a slot; what frontswap has to forget is appended to `flushes`.
void GuestMemory::free_slot(SlotId slot, std::vector<PageOp>& flushes) {
  if (swap_[slot].in_frontswap) {
    flushes.push_back(frontswap_op(StoreOp::kFlushPage, slot, nullptr));
    swap_.set_in_frontswap(slot, false);
  }
  swap_.release(slot);
}

// Names as Linux' driver gave them: 16 objects, so that neighbours do not share a lock.
PageOp GuestMemory::frontswap_op(StoreOp op, SlotId slot, std::byte* page) {
  return {op, kFrontswapPool, slot & 15, slot >> 4, page};
}

void GuestMemory::shrink_frontswap(uint32_t target) {
  std::vector<PageOp> flush;
  for (SlotId slot = 0; slot < swap_.size() && swap_.in_frontswap() > target; ++slot) {
    if (!swap_[slot].in_frontswap) continue;
    // A partial swapoff must not start another swap-out.
    if (frames_.free() <= high_ || failure_) return;
    const SpaceId id = swap_[slot].space;
    const uint32_t page = swap_[slot].page;
    AnonPage& anon = spaces_[id].pages[page];
    if (anon.frame == kNoFrame) {
      const FrameId frame = allocate();
      if (frame == kNoFrame || !load_from_frontswap(slot, frame)) return;
      map_anonymous(id, page, frame);
      frames_[frame].young = false;
    }
    free_slot(slot, flush);
    run(flush);
    flush.clear();
    anon.slot = kNoSlot;
  }
}

}  // namespace tmem::lab
