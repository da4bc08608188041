// SPDX-License-Identifier: GPL-2.0-or-later
// Records by handle, across shards. A record that the caller knows to be in use may be read
// without its shard's lock: a page that is linked to a content is in use while the content's
// shard is locked, and so are its object and its client.
#pragma once
#include <array>
#include <memory>

#include "tmemd/store/client.h"
#include "tmemd/store/record_table.h"
#include "tmemd/store/records.h"

namespace tmem::store {

constexpr Handle make_handle(uint32_t shard, uint32_t index) {
  return shard << (32 - kShardBits) | index;
}

class Tables {
 public:
  static constexpr uint32_t kClientsMax = 4096;

  Tables(BlockAllocator& blocks, ChunkAllocator& chunks) : clients_(kClientsMax) {
    // Each page could be a record of its own, were the arena made of records alone.
    const uint64_t bytes_max = blocks.blocks_max() * kBlockBytes;
    for (uint32_t s = 0; s < kShards; ++s) {
      pages_[s] = std::make_unique<RecordTable<PageRecord>>(chunks, limit<PageRecord>(bytes_max));
      objects_[s] =
          std::make_unique<RecordTable<ObjectRecord>>(chunks, limit<ObjectRecord>(bytes_max));
    }
  }

  RecordTable<PageRecord>& pages(uint32_t shard) { return *pages_[shard]; }
  RecordTable<ObjectRecord>& objects(uint32_t shard) { return *objects_[shard]; }
  PageRecord& page(Handle h) { return (*pages_[shard_of(h)])[h & kIndexMask]; }
  ObjectRecord& object(Handle h) { return (*objects_[shard_of(h)])[h & kIndexMask]; }
  Handle object_of(Handle page_handle) {
    return make_handle(shard_of(page_handle), page(page_handle).object);
  }
  Client* client(uint32_t number) { return clients_[number].load(std::memory_order_acquire); }
  Client& client_of(Handle page_handle) { return *client(object(object_of(page_handle)).client); }
  void set_client(uint32_t number, Client* client) {
    clients_[number].store(client, std::memory_order_release);
  }
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (uint32_t s = 0; s < kShards; ++s) sum += pages_[s]->bytes() + objects_[s]->bytes();
    return sum;
  }

 private:
  template <class Record>
  static uint64_t limit(uint64_t bytes_max) {
    return std::min<uint64_t>(bytes_max / sizeof(Record), kIndexMask - 1);
  }

  std::array<std::unique_ptr<RecordTable<PageRecord>>, kShards> pages_;
  std::array<std::unique_ptr<RecordTable<ObjectRecord>>, kShards> objects_;
  LazyArray<std::atomic<Client*>> clients_;  // by number
};

}  // namespace tmem::store
