// SPDX-License-Identifier: GPL-2.0-or-later
// A dense table of fixed-size records in chunks of the arena. Index 0 is never used.
//
// Not synchronised: each table belongs to a shard and is changed under its lock. A record that is
// known to be in use may be read from elsewhere, since records never move.
#pragma once
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstring>
#include <vector>

#include "libtmem/base/assert.h"
#include "tmemd/store/chunks.h"
#include "tmemd/store/lazy_array.h"

namespace tmem::store {

template <class Record>
class RecordTable {
 public:
  static constexpr uint32_t kPerChunk = kChunkBytes / sizeof(Record);

  // `records_max` bounds what the table can ever hold.
  RecordTable(ChunkAllocator& allocator, uint64_t records_max)
      : allocator_(allocator), chunks_max_(records_max / kPerChunk + 1), chunks_(chunks_max_) {}
  RecordTable(const RecordTable&) = delete;
  RecordTable& operator=(const RecordTable&) = delete;

  // A zeroed record's index (>= 1), or 0 when there is no memory.
  uint32_t allocate(Purpose purpose) {
    const uint32_t chunk = find_chunk(purpose);
    if (chunk == kNone) return 0;
    Chunk& c = chunks_[chunk];
    const uint32_t index = chunk * kPerChunk + c.free_head;
    Record& record = (*this)[index + 1];
    c.free_head = static_cast<uint16_t>(record.free_link());
    std::memset(static_cast<void*>(&record), 0, sizeof(Record));
    if (--c.free_count == 0)
      set_has_free(chunk, false);
    else
      __builtin_prefetch(&(*this)[chunk * kPerChunk + c.free_head + 1], 1);
    return index + 1;
  }

  void release(uint32_t index) {
    Record& record = (*this)[index];
    const uint32_t chunk = (index - 1) / kPerChunk;
    Chunk& c = chunks_[chunk];
    std::memset(static_cast<void*>(&record), 0, sizeof(Record));
    record.free_link() = c.free_head;
    c.free_head = static_cast<uint16_t>((index - 1) % kPerChunk);
    if (++c.free_count == 1) set_has_free(chunk, true);
    if (c.free_count == kPerChunk) release_chunk(chunk);
  }

  Record& operator[](uint32_t index) {
    return reinterpret_cast<Record*>(
        chunks_[(index - 1) / kPerChunk].records)[(index - 1) % kPerChunk];
  }
  const Record& operator[](uint32_t index) const { return const_cast<RecordTable&>(*this)[index]; }

  // False where no record can be: its chunk holds none.
  bool exists(uint32_t index) const { return chunks_[(index - 1) / kPerChunk].records != nullptr; }
  // Indices are below this.
  uint32_t end() const { return chunks_end_ * kPerChunk + 1; }

  uint64_t bytes() const { return chunks_used_ * kChunkBytes; }  // any thread

 private:
  static constexpr uint32_t kNone = ~0u;
  struct Chunk {
    std::byte* records;  // null: none
    uint32_t number;     // the allocator's
    uint16_t free_head;  // index in the chunk; valid while free_count > 0
    uint16_t free_count;
  };

  uint32_t find_chunk(Purpose purpose) {
    for (; hint_ < has_free_.size(); ++hint_)
      if (has_free_[hint_] != 0)
        return hint_ * 64 + static_cast<uint32_t>(std::countr_zero(has_free_[hint_]));
    return add_chunk(purpose);
  }

  uint32_t add_chunk(Purpose purpose) {
    uint32_t& chunk = gap_hint_;
    while (chunk < chunks_end_ && chunks_[chunk].records != nullptr) ++chunk;
    if (chunk == chunks_max_) return kNone;
    const auto number = allocator_.allocate(purpose);
    if (!number) return kNone;
    if (chunk == chunks_end_) ++chunks_end_;
    ++chunks_used_;
    chunks_[chunk] = Chunk{allocator_.address(*number), *number, 0, kPerChunk};
    std::memset(chunks_[chunk].records, 0, kChunkBytes);
    for (uint32_t i = 0; i + 1 < kPerChunk; ++i)
      (*this)[chunk * kPerChunk + i + 1].free_link() = i + 1;
    set_has_free(chunk, true);
    return chunk;
  }

  void release_chunk(uint32_t chunk) {
    set_has_free(chunk, false);
    allocator_.free(chunks_[chunk].number);
    chunks_[chunk] = Chunk{};
    --chunks_used_;
    gap_hint_ = std::min(gap_hint_, chunk);
  }

  void set_has_free(uint32_t chunk, bool has) {
    if (chunk / 64 >= has_free_.size()) has_free_.resize(chunk / 64 + 1);
    const uint64_t bit = uint64_t{1} << (chunk % 64);
    uint64_t& word = has_free_[chunk / 64];
    word = has ? word | bit : word & ~bit;
    if (has && chunk / 64 < hint_) hint_ = chunk / 64;
  }

  ChunkAllocator& allocator_;
  const uint64_t chunks_max_;
  LazyArray<Chunk> chunks_;
  uint32_t chunks_end_ = 0;  // chunks at or above were never used
  uint32_t gap_hint_ = 0;    // none is missing below
  std::atomic<uint64_t> chunks_used_{0};
  std::vector<uint64_t> has_free_;  // one bit a chunk
  uint32_t hint_ = 0;               // no word below has a bit
};

}  // namespace tmem::store
