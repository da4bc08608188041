// SPDX-License-Identifier: GPL-2.0-or-later
// Contents: the stored bytes that pages show, shared by equal pages of one dedup domain.
//
// A content is found by a tag of its fingerprint and always compared byte for byte. It lies in a
// segment of its client, or, once pages of a second client show it, in one of the scope's own, so
// that dropping a client's segment takes only that client's pages. Moving it (compressing,
// cleaning) replaces one location word.
//
// Each client is charged the stored size of every content it shows, once, in full.
//
// Lock order: key shard → content shard → owner → blocks; a thread holds one of each at most.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "tmemd/store/segment.h"
#include "tmemd/store/spin_lock.h"
#include "tmemd/store/tables.h"
#include "tmemd/store/worker.h"

namespace tmem::store {

struct ContentTotals {
  std::array<uint64_t, kTiers> pages{};
  std::array<uint64_t, kTiers> bytes{};
  std::array<uint64_t, kKinds> stored_bytes{};
  uint64_t contents = 0;
  uint64_t references = 0;
  uint64_t compressed = 0;
  uint64_t recompressed = 0;
  uint64_t incompressible = 0;
  uint64_t cleaned = 0;
};

class ContentStore {
 public:
  ContentStore(BlockAllocator& blocks, ChunkAllocator& chunks, SegmentStore& segments,
               Tables& tables);

  enum class Linked { kNew, kDuplicate, kNoMemory };
  struct Request {
    Handle page;  // its record is complete but for content and next_sharer
    Client& client;
    Owner* domain;  // of dedup; null: none
    Kind kind;
    PageBytes bytes;
    Fingerprint fingerprint;
    uint64_t now_ms;
  };
  // Gives the page its content. The caller holds the page's key shard.
  Linked link(Worker::State& worker, const Request& request);
  // Takes the page off its content, and frees that after the last page.
  void unlink(Handle page);
  // Copies the page's bytes out. `hot` marks the content as used.
  void read(Worker::State& worker, Handle page, PageBuffer out, bool hot);
  // Hints for a coming link: bring the dedup bucket, then what it leads to, into the cache.
  void prefetch_bucket(const Fingerprint& fingerprint, const Owner* domain, Kind kind);
  void prefetch_twin(const Fingerprint& fingerprint, const Owner* domain, Kind kind);

  // A page that shows `content`, if that is still in `segment`; of one client, if given.
  struct Sharer {
    Handle page;
    Handle object;
    uint32_t index;
  };
  std::optional<Sharer> sharer(Handle content, const Segment& segment, const Client* client);
  // The same for a content anywhere in segments of `owner`.
  std::optional<Sharer> sharer_in(Handle content, const Owner& owner, const Client* client);

  // Moves `content` out of the busy `segment`, as it is stored, to a segment of `to` with tier
  // `tier` and the same age. False: there was no memory for the copy.
  bool relocate(Handle content, const Segment& segment, Owner& to, Tier tier, uint64_t now_ms);
  // The same within its owner and tier, as the youngest.
  bool rejuvenate(Handle content, const Segment& segment, uint64_t now_ms);
  // The same, and compressed for `to` (kLz4 or kZstd). An incompressible page stays where it is.
  bool compress(Worker::State& worker, Handle content, const Segment& segment, Tier to,
                uint64_t now_ms);
  // Whether the content still lies in a busy segment: then it is the one the segment lists.
  bool is_in(Handle content, const Segment& segment);
  // Clears and returns the mark of a shared hit.
  bool take_hot(Handle content, const Segment& segment);
  // The dedup domain of a content that pages of other clients than the segment's owner show.
  std::optional<uint32_t> foreign_domain(Handle content, const Segment& segment);

  ContentTotals totals() const;
  uint64_t record_bytes() const;

  // For check_invariants, which holds every shard: calls with each content and its handle.
  void for_each(const std::function<void(Handle, const ContentRecord&)>& visit);
  SpinLock& shard_lock(uint32_t shard) { return shards_[shard].lock; }

 private:
  struct Shard {
    mutable SpinLock lock;
    std::unique_ptr<RecordTable<ContentRecord>> records;
    std::vector<Handle> buckets;  // linear hashing; heads of chains
    uint64_t listed = 0;
    ContentTotals totals;
  };
  struct Move {  // how a content's stored bytes change place
    Owner& to;
    Tier segment_tier;
    Tier tier;
    const std::byte* bytes;
    size_t length_bytes;
    uint64_t age;
    uint64_t now_ms;
    uint64_t put_ms;
  };
  // The distinct clients that show a content.
  struct ClientList {
    std::array<Client*, kSharersMax> client;
    size_t count = 0;
    Client** begin() { return client.data(); }
    Client** end() { return client.data() + count; }
  };
  struct Twins {
    Handle found = 0;
    bool crowded = false;  // so many equal contents are full that another is not listed
  };

  // Null when `h` is stale and even its chunk is gone.
  ContentRecord* record_if(Handle h, const Segment& segment);
  ContentRecord& record(Handle h) { return (*shards_[shard_of(h)].records)[h & kIndexMask]; }
  static size_t bucket_of(const Shard& shard, uint32_t tag);
  void grow(Shard& shard);
  void shrink(Shard& shard);
  void insert(Shard& shard, Handle h);
  void remove(Shard& shard, Handle h);
  Twins find_twins(Worker::State& worker, Shard& shard, uint32_t tag, const Request& request);
  Handle make_content(Shard& shard, uint32_t tag, const Request& request);
  void join(Handle h, const Request& request);
  bool move(ContentRecord& r, Handle h, const Move& how);
  bool relocate_aged(Handle h, const Segment& segment, Owner& to, Tier tier, uint64_t age,
                     uint64_t now_ms);
  bool shows(const ContentRecord& r, const Client& client);
  ClientList clients_of(const ContentRecord& r);
  void charge(const ContentRecord& r, Client& client, int64_t sign);
  static void count(Shard& shard, const ContentRecord& r, int64_t sign);
  std::optional<Sharer> sharer_of(const ContentRecord& r, const Client* client);

  BlockAllocator& blocks_;
  SegmentStore& segments_;
  Tables& tables_;
  std::array<Shard, kShards> shards_;
};

}  // namespace tmem::store
