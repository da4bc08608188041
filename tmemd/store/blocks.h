// SPDX-License-Identifier: GPL-2.0-or-later
// The arena: the provider's 2 MiB slots cut into blocks of 16 KiB. Keeps the budget.
//
// A segment starts with one block, at the start of the longest free run, and grows in place block
// by block up to 16; single blocks (for record tables) come from the far end. Low slots are filled
// first, so that a shrinking pool empties high slots, which go back to the provider whole; free
// blocks of other slots are discarded when many have gathered.
//
// Thread safety: all calls from any thread. Innermost lock of the store.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
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
  BlockAllocator(memory::SlotProvider& provider, uint64_t budget_bytes);
  BlockAllocator(const BlockAllocator&) = delete;
  BlockAllocator& operator=(const BlockAllocator&) = delete;
  ~BlockAllocator();

  // One block, contents undefined. Nothing when the budget (less the reserve, for kNormal) or the
  // provider is exhausted.
  std::optional<uint32_t> allocate(Purpose purpose);
  // The same, with room to grow where there is some.
  std::optional<uint32_t> allocate_run(Purpose purpose);
  // Adds the block behind a run, if it is free.
  bool extend(uint32_t first, uint32_t count, Purpose purpose);
  // Frees any part of what was allocated.
  void free(uint32_t first, uint32_t count);

  // Acquires slots before puts need them and has them committed, until a quarter of `keep_bytes`
  // is free (at most 32 MiB). In the background. False when there is nothing to do.
  bool acquire_ahead(uint64_t keep_bytes);

  // Memory outside the arena that counts against the budget: the volatile index.
  void add_heap_bytes(int64_t bytes) { heap_bytes_ += bytes; }

  // Gives free blocks back, wholly free slots as such, until at most `keep_bytes` of them still
  // hold memory. Returns the bytes given back.
  uint64_t trim(uint64_t keep_bytes);

  void set_budget(uint64_t budget_bytes) { budget_bytes_ = budget_bytes; }
  uint64_t budget_bytes() const { return budget_bytes_; }
  // Kept for work that gives memory back: 2 slots or 2 %, of a small budget 1/16.
  static uint64_t reserve_bytes(uint64_t budget_bytes);
  uint64_t reserve_bytes() const { return reserve_bytes(budget_bytes_); }
  // In use: blocks and heap. What the budget bounds.
  uint64_t used_bytes() const { return used_blocks_ * kBlockBytes + heap_bytes(); }
  // Used and not yet discarded: what the pool costs the machine.
  uint64_t held_bytes() const { return used_bytes() + stale_blocks_ * kBlockBytes; }
  uint64_t used_block_bytes() const { return used_blocks_ * kBlockBytes; }
  uint64_t heap_bytes() const {
    const int64_t bytes = heap_bytes_;
    return bytes > 0 ? static_cast<uint64_t>(bytes) : 0;
  }
  uint64_t released_slots() const { return released_slots_; }
  // Blocks ever allocated for puts.
  uint64_t allocations() const { return allocations_; }
  // True when another block would not break the budget.
  bool has_room(Purpose purpose) const;

  std::byte* address(uint32_t block) const { return base_ + size_t{block} * kBlockBytes; }
  std::byte* base() const { return base_; }
  uint64_t blocks_max() const { return uint64_t{provider_.slots_max()} * kBlocksPerSlot; }

 private:
  using Bits = std::array<uint64_t, kBlocksPerSlot / 64>;
  struct Slot {
    Bits free{};   // blocks nobody uses
    Bits stale{};  // free blocks that cost memory: they hold old bytes, or were committed ahead
    bool acquired = false;
  };

  void update_runs(uint32_t slot);
  std::optional<uint32_t> find_slot(unsigned order);
  void take(uint32_t block, Purpose purpose);
  bool acquire_slot();
  void add_slot(uint32_t slot, bool committed);
  Bits take_stale(uint32_t slot);
  uint64_t discard(uint32_t slot, Bits blocks);
  uint64_t trim_slot(uint32_t slot);
  void add_stale(int64_t blocks) { stale_blocks_ += static_cast<uint64_t>(blocks); }

  memory::SlotProvider& provider_;
  std::byte* const base_;
  std::atomic<uint64_t> budget_bytes_;
  std::atomic<uint64_t> used_blocks_{0};
  std::atomic<uint64_t> stale_blocks_{0};
  std::atomic<uint64_t> acquired_slots_{0};
  std::atomic<int64_t> heap_bytes_{0};
  std::atomic<uint64_t> released_slots_{0};
  std::atomic<uint64_t> allocations_{0};

  std::mutex mutex_;  // guards all below
  std::vector<Slot> slots_;
  // For each order, one bit a slot: it has an aligned free run of that order.
  std::array<std::vector<uint64_t>, kOrderMax + 1> has_run_;
};

}  // namespace tmem::store
