// SPDX-License-Identifier: LGPL-2.1-or-later
// Where the parts of a queue lie within its memory (abi.h draws it), for both ends.
#pragma once
#include <cstddef>
#include <cstdint>

#include "libtmem/base/units.h"
#include "tmem/abi.h"

namespace tmem {

struct RingLayout {
  uint32_t entries = 0;
  uint32_t slots = 0;
  size_t requests_offset_bytes = 0;
  size_t responses_offset_bytes = 0;
  size_t slots_offset_bytes = 0;
  size_t bytes = 0;  // of the whole queue

  static bool is_valid(uint32_t order, uint32_t slots) {
    return order >= TMEM_RING_ORDER_MIN && order <= TMEM_RING_ORDER_MAX &&
           slots >= TMEM_SLOTS_MIN && slots <= TMEM_SLOTS_MAX;
  }

  // Requires is_valid(order, slots).
  static RingLayout of(uint32_t order, uint32_t slots) {
    RingLayout layout;
    layout.entries = tmem_ring_entries(order);
    layout.slots = slots;
    layout.requests_offset_bytes = kPageBytes;
    layout.responses_offset_bytes = kPageBytes + layout.entries * sizeof(tmem_request);
    layout.slots_offset_bytes = (size_t{1} << order) * kPageBytes;
    layout.bytes = layout.slots_offset_bytes + size_t{slots} * kPageBytes;
    return layout;
  }
};

}  // namespace tmem
