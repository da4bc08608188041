// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/swap_area.h"

#include "libtmem/base/assert.h"

namespace tmem::lab {

SlotId SwapArea::allocate(uint32_t space, uint32_t page) {
  if (used_ == size()) return kNoSlot;
  while (slots_[next_].used) next_ = (next_ + 1) % size();
  const SlotId id = next_;
  slots_[id] = {true, false, space, page};
  ++used_;
  next_ = (next_ + 1) % size();
  return id;
}

void SwapArea::release(SlotId id) {
  TMEM_ASSERT(slots_[id].used && !slots_[id].in_frontswap);
  slots_[id].used = false;
  --used_;
}

void SwapArea::set_in_frontswap(SlotId id, bool in_frontswap) {
  TMEM_ASSERT(slots_[id].used && slots_[id].in_frontswap != in_frontswap);
  slots_[id].in_frontswap = in_frontswap;
  in_frontswap_ += in_frontswap ? 1 : -1;
}

}  // namespace tmem::lab
