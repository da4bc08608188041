// SPDX-License-Identifier: GPL-2.0-or-later
// A timing wheel: which chunks are touched in this tick. Scheduling and delivery take constant time
// and no memory. A chunk is on the wheel at most once.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace tmem::lab::policies {

class Wheel {
 public:
  explicit Wheel(uint32_t chunks) : entries_(chunks) { slots_.fill(kNone); }

  bool is_scheduled(uint32_t chunk) const { return entries_[chunk].scheduled; }

  void schedule(uint32_t chunk, uint32_t tick) {
    entries_[chunk].tick = tick;
    entries_[chunk].scheduled = true;
    push(chunk);
  }

  // Calls touch(chunk) for each chunk of this tick; it may schedule any chunk for a later one.
  template <class Touch>
  void deliver(uint32_t tick, Touch touch) {
    uint32_t chunk = slots_[tick % kSlots];
    slots_[tick % kSlots] = kNone;
    while (chunk != kNone) {
      const uint32_t next = entries_[chunk].next;
      if (entries_[chunk].tick > tick) {
        push(chunk);  // of a later turn
      } else {
        entries_[chunk].scheduled = false;
        touch(chunk);
      }
      chunk = next;
    }
  }

 private:
  static constexpr uint32_t kSlots = 1024;
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Entry {
    uint32_t tick = 0;
    uint32_t next = kNone;
    bool scheduled = false;
  };

  void push(uint32_t chunk) {
    uint32_t& head = slots_[entries_[chunk].tick % kSlots];
    entries_[chunk].next = head;
    head = chunk;
  }

  std::vector<Entry> entries_;
  std::array<uint32_t, kSlots> slots_{};
};

}  // namespace tmem::lab::policies
