// SPDX-License-Identifier: GPL-2.0-or-later
// Chunks in an order: the LRU lists of a guest, the FIFO of its pages in the pool. Intrusive: the
// links are in a table beside the chunks, so a chunk is on at most one list of a table.
#pragma once
#include <cstdint>
#include <vector>

namespace tmem::lab::policies {

inline constexpr uint32_t kNoChunk = UINT32_MAX;

struct ChunkLink {
  uint32_t newer = kNoChunk;
  uint32_t older = kNoChunk;
};

class ChunkList {
 public:
  uint32_t oldest() const { return oldest_; }
  bool empty() const { return oldest_ == kNoChunk; }

  void add_newest(std::vector<ChunkLink>& links, uint32_t chunk) {
    links[chunk] = {kNoChunk, newest_};
    (newest_ == kNoChunk ? oldest_ : links[newest_].newer) = chunk;
    newest_ = chunk;
  }

  void remove(std::vector<ChunkLink>& links, uint32_t chunk) {
    const ChunkLink link = links[chunk];
    (link.newer == kNoChunk ? newest_ : links[link.newer].older) = link.older;
    (link.older == kNoChunk ? oldest_ : links[link.older].newer) = link.newer;
    links[chunk] = {};
  }

 private:
  uint32_t newest_ = kNoChunk;
  uint32_t oldest_ = kNoChunk;
};

}  // namespace tmem::lab::policies
