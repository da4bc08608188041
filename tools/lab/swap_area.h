// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's swap partition: which slots are used, by whom, and which are in frontswap instead of
// on disk. The disk itself holds no bytes: what a page contains is known from its name.
#pragma once
#include <cstdint>
#include <vector>

namespace tmem::lab {

using SlotId = uint32_t;
inline constexpr SlotId kNoSlot = 0xffffffff;

class SwapArea {
 public:
  explicit SwapArea(uint32_t slots) : slots_(slots) {}

  struct Slot {
    bool used = false;
    bool in_frontswap = false;
    uint32_t space = 0;  // owner
    uint32_t page = 0;
  };

  // The next free slot after the last one given, so that pages swapped out together lie together;
  // kNoSlot when full.
  SlotId allocate(uint32_t space, uint32_t page);
  // `id` must be used and not in frontswap.
  void release(SlotId id);
  void set_in_frontswap(SlotId id, bool in_frontswap);

  const Slot& operator[](SlotId id) const { return slots_[id]; }
  uint32_t size() const { return static_cast<uint32_t>(slots_.size()); }
  uint32_t used() const { return used_; }
  uint32_t in_frontswap() const { return in_frontswap_; }
  bool half_full() const { return used_ * 2 > size(); }

 private:
  std::vector<Slot> slots_;
  SlotId next_ = 0;
  uint32_t used_ = 0;
  uint32_t in_frontswap_ = 0;
};

}  // namespace tmem::lab
