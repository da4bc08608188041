// SPDX-License-Identifier: GPL-2.0-or-later
// The records that live in the arena: small, dense, free of pointers, so that another process can
// find pages again from the arena alone. They refer to one another by 32-bit handles:
//
//   handle = shard (4 bits) | index + 1 in the shard's table (28 bits);   0 = none
//
// A page's shard is that of its object (by client, pool and object id); a content's shard is that
// of its fingerprint. The volatile side (index, lists) is rebuilt from them.
#pragma once
#include <cstdint>

#include "tmemd/store/types.h"

namespace tmem::store {

inline constexpr unsigned kShardBits = 4;
inline constexpr uint32_t kShards = 1u << kShardBits;
inline constexpr uint32_t kIndexMask = (1u << (32 - kShardBits)) - 1;

using Handle = uint32_t;  // 0: none
constexpr uint32_t shard_of(Handle handle) {
  return handle >> (32 - kShardBits);
}

// Where the bytes of a content are. One 8-byte word, so that moving it is one store.
struct Location {
  uint64_t offset_bytes : 40;  // in the arena
  uint64_t length_bytes : 13;  // 1 .. 4096 as stored; 0: free record
  uint64_t tier : 2;
  uint64_t hot : 1;  // a shared hit since the last eviction pass

  bool same_place(const Location& o) const {
    return offset_bytes == o.offset_bytes && length_bytes == o.length_bytes && tier == o.tier;
  }
};
static_assert(sizeof(Location) == 8);

enum class PageState : uint32_t { kFree = 0, kContent = 1, kSameFilled = 2 };

// One page of a client. 16 bytes.
struct PageRecord {
  // Index part of the object's handle (its shard is the page's), state, and the low bits of a
  // counter that tells which of two records of a key is the newer one. Written last.
  uint32_t object : 28;
  uint32_t state : 2;
  uint32_t sequence : 2;
  uint32_t index;
  union {
    struct {
      Handle content;
      Handle next_sharer;  // guarded by the content's shard
    };
    struct {
      uint32_t fill_low;  // the eight bytes a same-filled page repeats
      uint32_t fill_high;
    };
  };

  uint32_t& free_link() { return index; }
};
static_assert(sizeof(PageRecord) == 16);

// One stored content. 24 bytes.
struct ContentRecord {
  Location location;
  uint32_t tag;           // of fingerprint and dedup domain
  Handle first_sharer;    // page records that show this content
  Handle next_in_bucket;  // dedup chain, within the shard
  uint32_t domain : 20;   // owner number of the dedup scope
  uint32_t kind : 1;
  uint32_t listed : 1;  // it is in a dedup bucket
  uint32_t sharers : 10;

  uint32_t& free_link() { return tag; }
};
static_assert(sizeof(ContentRecord) == 24);

// References to one content: more make another copy, so that a list walk is bounded.
inline constexpr uint32_t kSharersMax = 128;

// One object of a pool. 32 bytes.
struct ObjectRecord {
  ObjectId id;
  uint32_t client : 20;
  uint32_t pool : 4;
  uint32_t kind : 1;
  uint32_t used : 1;
  uint32_t generation;

  uint32_t& free_link() { return generation; }
};
static_assert(sizeof(ObjectRecord) == 32);

}  // namespace tmem::store
