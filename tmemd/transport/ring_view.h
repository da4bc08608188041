// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon's view of one queue's memory, which the guest may write at any time.
//
// Reads go through private copies; what is written here is never read back as if it were ours.
#pragma once
#include <cstring>
#include <span>

#include "libtmem/base/result.h"
#include "libtmem/base/ring_layout.h"
#include "libtmem/base/shared_word.h"
#include "tmemd/store/store.h"
#include "tmemd/transport/request.h"

namespace tmem::transport {

class RingView {
 public:
  // `memory` must stay mapped while the view is used; page-aligned. Errors: kMalformed when order
  // or slots are out of the limits of abi.h or the memory is smaller than they need.
  static Result<RingView> over(std::span<std::byte> memory, uint32_t order, uint32_t slots);

  tmem_control_page& control() const { return *control_; }
  uint32_t entries() const { return entries_; }
  uint32_t slots() const { return slots_; }

  // The entry of a free-running counter, read once, word by word.
  RawRequest copy_request(uint32_t counter) const;
  void write_response(uint32_t counter, uint64_t id, store::Status status) const;

  // The guest may write these bytes at any time.
  store::PageBuffer slot(SlotIndex slot) const { return slot_at(slot.value()); }
  // The other slot of a pair, within bounds: for the seeded fault kWrongSlot only.
  store::PageBuffer neighbour(SlotIndex slot) const {
    const uint32_t other = slot.value() ^ 1u;
    return slot_at(other < slots_ ? other : slot.value());
  }

 private:
  RingView(std::byte* base, const RingLayout& layout)
      : control_(reinterpret_cast<tmem_control_page*>(base)),
        requests_(reinterpret_cast<tmem_request*>(base + layout.requests_offset_bytes)),
        responses_(reinterpret_cast<tmem_response*>(base + layout.responses_offset_bytes)),
        slot_bytes_(base + layout.slots_offset_bytes),
        entries_(layout.entries),
        slots_(layout.slots) {}
  store::PageBuffer slot_at(uint32_t number) const {
    return store::PageBuffer(slot_bytes_ + size_t{number} * kPageBytes, kPageBytes);
  }

  tmem_control_page* control_;
  tmem_request* requests_;
  tmem_response* responses_;
  std::byte* slot_bytes_;
  uint32_t entries_;
  uint32_t slots_;
};

// What the daemon tells the guest in a new control page.
struct ControlInit {
  uint64_t features = 0;
  uint64_t store_epoch = 0;
  QueueShape shape;
};

// Fills the control page of a queue whose memory is all zeroes and that no guest sees yet.
void initialise_control(const RingView& ring, const ControlInit& init);

}  // namespace tmem::transport
