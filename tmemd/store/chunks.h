// SPDX-License-Identifier: GPL-2.0-or-later
// Chunks of 4 KiB for record tables, four to a block: many tables, each with a chunk partly used,
// would waste too much in whole blocks.
//
// Thread safety: all calls from any thread. Lock order: above the block allocator's.
#pragma once
#include <array>
#include <map>
#include <mutex>
#include <optional>

#include "libtmem/base/assert.h"
#include "tmemd/store/blocks.h"

namespace tmem::store {

inline constexpr size_t kChunkBytes = 4 * kKiB;
inline constexpr uint32_t kChunksPerBlock = kBlockBytes / kChunkBytes;

class ChunkAllocator {
 public:
  explicit ChunkAllocator(BlockAllocator& blocks) : blocks_(blocks) {}

  // A chunk's number: its address is number * kChunkBytes from the arena's base.
  std::optional<uint32_t> allocate(Purpose purpose) {
    const std::lock_guard lock(mutex_);
    if (partial_.empty()) {
      const auto block = blocks_.allocate_metadata(purpose);
      if (!block) return std::nullopt;
      partial_.emplace(*block, kAllFree);
    }
    const auto it = partial_.begin();
    const auto place = static_cast<uint32_t>(__builtin_ctz(it->second));
    const uint32_t chunk = it->first * kChunksPerBlock + place;
    it->second &= it->second - 1;
    if (it->second == 0) partial_.erase(it);
    return chunk;
  }

  void free(uint32_t chunk) {
    const std::lock_guard lock(mutex_);
    const uint32_t block = chunk / kChunksPerBlock;
    unsigned& places = partial_[block];
    TMEM_ASSERT((places >> (chunk % kChunksPerBlock) & 1) == 0);
    places |= 1u << (chunk % kChunksPerBlock);
    if (places != kAllFree) return;
    partial_.erase(block);
    blocks_.free_metadata(block);
  }

  std::byte* address(uint32_t chunk) const { return blocks_.base() + size_t{chunk} * kChunkBytes; }

 private:
  static constexpr unsigned kAllFree = (1u << kChunksPerBlock) - 1;

  BlockAllocator& blocks_;
  std::mutex mutex_;
  std::map<uint32_t, unsigned> partial_;  // blocks with free places, one bit a place
};

}  // namespace tmem::store
