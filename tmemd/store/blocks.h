// SPDX-License-Identifier: GPL-2.0-or-later
// The arena: the provider's 2 MiB slots cut into blocks of 16 KiB. Keeps the budget.
//
// A segment starts with one block, at the start of the longest free run, and grows in place block
// by block up to 16; single blocks for record tables come from the far end. Low slots are filled
// first, so that a shrinking pool empties high slots, which go back to the provider whole; free
// blocks of other slots are discarded when many have gathered, if the provider can do that.
//
// Records never move, segments do: slots that hold records (metadata) take segments only when no
// other slot has room, and the other way round. So a slot without records can be emptied
// (begin_drain), which is the only way to give memory back to a provider that cannot discard.
//
// Thread safety: all calls from any thread. Innermost lock of the store; the provider is called
// without it.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tmemd/memory/slot_provider.h"

namespace tmem::store {

inline constexpr size_t kBlockBytes = 16 * kKiB;
inline constexpr uint32_t kBlocksPerSlot = memory::kSlotBytes / kBlockBytes;
inline constexpr unsigned kOrderMax = 4;  // free runs are known up to 2^4 blocks: 256 KiB
inline constexpr uint32_t kRunBlocksMax = 1u << kOrderMax;

// Who asks: the reserve is only for work that gives memory back (compressing, cleaning).
enum class Purpose { kNormal, kReserve };

class BlockAllocator {
 public:
  // Slots that a predecessor left are used; what is in them does not count.
  BlockAllocator(memory::SlotProvider& provider, uint64_t budget_bytes,
                 uint64_t heap_bytes_max = ~uint64_t{0});
  BlockAllocator(const BlockAllocator&) = delete;
  BlockAllocator& operator=(const BlockAllocator&) = delete;
  // Leaves the slots to the provider, whose owner decides what becomes of them.
  ~BlockAllocator() = default;

  // One block for records, contents undefined. Nothing when the budget (less the reserve, for
  // kNormal), the arena limit or the provider is exhausted.
  std::optional<uint32_t> allocate_metadata(Purpose purpose);
  void free_metadata(uint32_t block);
  // One block for a segment, with room to grow where there is some.
  std::optional<uint32_t> allocate_run(Purpose purpose);
  // Adds the block behind a run, if it is free.
  bool extend(uint32_t first, uint32_t count, Purpose purpose);
  // Frees any part of a segment's blocks.
  void free(uint32_t first, uint32_t count);

  // Memory outside the arena that counts against the budget: the volatile index.
  void add_heap_bytes(int64_t bytes) { heap_bytes_ += bytes; }

  // ---- Slots come and go: slots.cc ----

  // Acquires slots before puts need them and has them committed, until a quarter of `keep_bytes`
  // is free (at most 32 MiB). In the background. False when there is nothing to do.
  bool acquire_ahead(uint64_t keep_bytes);
  // Acquires one slot and has it committed. False at the limit, the budget or the provider's end.
  bool acquire_one();
  // A provider that refused a slot is not asked again until this is called.
  void ask_provider_again() { refused_ = false; }

  // Gives free blocks back, wholly free slots as such, until at most `keep_bytes` of them still
  // hold memory; to a provider that cannot discard only slots, at most `slots_max`, and none of
  // `least_bytes` of slots. Returns the bytes given back.
  uint64_t trim(uint64_t keep_bytes, uint32_t slots_max = ~0u, uint64_t least_bytes = 0);
  // Gives one wholly free slot back, the highest, if `least_bytes` of slots stay. False when there
  // is none.
  bool release_empty_slot(uint64_t least_bytes = 0);

  // Bounds the slots: none is acquired beyond. Those held above it stay until they are drained;
  // meanwhile they may be used up to a ceiling that only falls.
  void set_arena_limit(uint64_t bytes);
  // Lowers the ceiling to what is in use and a slack, but not below `least_bytes`.
  void lower_ceiling(uint64_t least_bytes);
  // What a ceiling on its way down leaves puts, so that they need not evict by themselves.
  uint64_t slack_bytes() const;
  // Whether puts have used half of it.
  bool presses_on_puts() const;

  // The slot with the fewest blocks in use of those that hold segments only; `except` only when
  // there is no other.
  std::optional<uint32_t> sparsest_slot(uint32_t except);
  // From here to end_drain() nothing of the slot is given out. False when it holds records, or when
  // less than `least_bytes` of slots would stay.
  bool begin_drain(uint32_t slot, uint64_t least_bytes = 0);
  // Gives the slot back if it is wholly free, and returns whether it was; else it is used again.
  bool end_drain(uint32_t slot);
  // Whether what is in use, and the reserve, would fit into one slot less.
  bool can_spare_a_slot() const;

  // ---- Figures ----

  void set_budget(uint64_t budget_bytes) { budget_bytes_ = budget_bytes; }
  uint64_t budget_bytes() const { return budget_bytes_; }
  uint64_t arena_limit_bytes() const { return arena_limit_bytes_; }
  // What used_bytes() may reach: the budget, or what the slots allow that are held or can be had.
  uint64_t room_bytes() const;
  // The same once the arena is within its limit: what can be promised.
  uint64_t lasting_bytes() const;
  // The same within the slots held: what outlasts any fall of the limit.
  uint64_t held_room_bytes() const {
    return can_discard_ ? lasting_bytes()
                        : std::min(lasting_bytes(), heap_bytes() + attached_bytes());
  }
  // The room of which `bytes` are left beside the reserve.
  static uint64_t room_for(uint64_t bytes);
  // Kept for work that gives memory back: 2 slots or 2 %, of a small budget 1/16.
  static uint64_t reserve_bytes(uint64_t budget_bytes);
  uint64_t reserve_bytes() const { return reserve_bytes(room_bytes()); }
  // In use: blocks and heap. What the budget bounds.
  uint64_t used_bytes() const { return used_blocks_ * kBlockBytes + heap_bytes(); }
  // What the pool costs the machine: used and not yet discarded, or whole slots.
  uint64_t held_bytes() const {
    return can_discard_ ? used_bytes() + stale_blocks_ * kBlockBytes : arena_bytes() + heap_bytes();
  }
  // Slots not given back yet.
  uint64_t arena_bytes() const { return held_slots_ * memory::kSlotBytes; }
  // Of these, slots that blocks are given out from.
  uint64_t attached_bytes() const { return attached_slots_ * memory::kSlotBytes; }
  // Slots that hold records.
  uint64_t metadata_slot_bytes() const { return metadata_slots_ * memory::kSlotBytes; }
  uint64_t used_block_bytes() const { return used_blocks_ * kBlockBytes; }
  uint64_t heap_bytes() const {
    const int64_t bytes = heap_bytes_;
    return bytes > 0 ? static_cast<uint64_t>(bytes) : 0;
  }
  uint64_t heap_bytes_max() const { return heap_bytes_max_; }
  // Puts add to the heap only below its maximum: one put, or a hash set that doubles, above it.
  bool has_heap() const { return heap_bytes() < heap_bytes_max_; }
  // Whether a put may have failed for it: what it had taken, an object or less, is given back.
  bool lacks_heap() const { return heap_bytes() + kObjectHeapBytesMax >= heap_bytes_max_; }
  // Whether less is left of it than puts shall find.
  bool heap_is_short() const { return heap_bytes() > heap_bytes_max_ - heap_bytes_max_ / 64; }
  uint64_t released_slots() const { return released_slots_; }
  // Blocks ever allocated for puts.
  uint64_t allocations() const { return allocations_; }
  // True when another block would not break the budget, nor the heap its maximum (for kNormal).
  bool has_room(Purpose purpose) const;
  bool can_discard() const { return can_discard_; }

  std::byte* address(uint32_t block) const { return base_ + size_t{block} * kBlockBytes; }
  std::byte* base() const { return base_; }
  uint64_t blocks_max() const { return uint64_t{provider_.slots_max()} * kBlocksPerSlot; }

  // The first figure that does not follow from the slots. For tests.
  std::optional<std::string> violation() const;

 private:
  static constexpr uint64_t kObjectHeapBytesMax = 256;
  using Bits = std::array<uint64_t, kBlocksPerSlot / 64>;
  using SlotBits = std::vector<uint64_t>;  // one bit a slot
  using Lock = std::unique_lock<std::mutex>;
  struct Slot {
    Bits free{};   // blocks nobody uses
    Bits stale{};  // free blocks that cost memory: they hold old bytes, or were committed ahead
    uint8_t used_blocks = 0;
    uint8_t metadata_blocks = 0;  // of these, for records
    bool attached = false;
    bool draining = false;

    bool is_empty() const { return attached && (free[0] & free[1]) == ~uint64_t{0}; }
  };
  static_assert(std::tuple_size_v<Bits> == 2);
  // Slots are looked up by what they hold; draining ones not at all.
  enum Class : size_t { kData, kMetadata, kClasses };

  void update_runs(uint32_t slot);
  std::optional<uint32_t> find_run(Class in, unsigned order) const;
  void take(uint32_t block, Purpose purpose);
  void put_free(Slot& slot, uint32_t first, uint32_t count);
  bool may_acquire(uint64_t held_slots) const {
    return !refused_ && (held_slots + 1) * memory::kSlotBytes <= arena_limit_bytes_;
  }
  bool reserve_slot();
  bool acquire_slot(Lock& lock);
  void add_slot(uint32_t slot, bool committed);
  void detach(uint32_t slot);
  void give_back(uint32_t slot);
  Bits take_stale(uint32_t slot);
  uint64_t discard(uint32_t slot, Bits blocks);
  uint64_t trim_slot(uint32_t slot);
  uint64_t slots_ceiling_bytes() const;
  uint64_t gentle_ceiling_bytes() const;
  void add_stale(int64_t blocks) { stale_blocks_ += static_cast<uint64_t>(blocks); }

  memory::SlotProvider& provider_;
  std::byte* const base_;
  const bool can_discard_;
  const uint64_t heap_bytes_max_;
  std::atomic<uint64_t> budget_bytes_;
  std::atomic<uint64_t> arena_limit_bytes_;
  std::atomic<uint64_t> ceiling_bytes_;  // of blocks in use; the limit, or on its way down to it
  std::atomic<uint64_t> used_blocks_{0};
  std::atomic<uint64_t> stale_blocks_{0};
  std::atomic<uint64_t> held_slots_{0};      // from before acquire() until after release()
  std::atomic<uint64_t> attached_slots_{0};  // in the table below, and not draining
  std::atomic<uint64_t> metadata_slots_{0};
  std::atomic<uint64_t> empty_slots_{0};
  std::atomic<bool> refused_{false};
  std::atomic<int64_t> heap_bytes_{0};
  std::atomic<uint64_t> released_slots_{0};
  std::atomic<uint64_t> allocations_{0};

  mutable std::mutex mutex_;  // guards all below
  std::vector<Slot> slots_;
  // For each order, the slots with an aligned free run of that order.
  std::array<std::array<SlotBits, kOrderMax + 1>, kClasses> has_run_;
  SlotBits empty_;  // wholly free slots
};

}  // namespace tmem::store
