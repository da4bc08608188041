// SPDX-License-Identifier: GPL-2.0-or-later
// The store's parts and what they share. pools.cc and store.cc hold the operations; reclaim.cc,
// evict.cc, compact.cc and shrink.cc what gives memory back; admin.cc settings and statistics.
//
// Lock order: shrink → credits → registry → client.mutex → key shard → content shard → owner →
// blocks. A thread holds one of each kind at most.
#pragma once
#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <mutex>

#include "tmemd/store/blocks.h"
#include "tmemd/store/content.h"
#include "tmemd/store/index.h"
#include "tmemd/store/registry.h"
#include "tmemd/store/segment.h"
#include "tmemd/store/store.h"
#include "tmemd/store/tables.h"
#include "tmemd/store/worker.h"

namespace tmem::store {

class Impl {
 public:
  Impl(const Options& options_in, memory::SlotProvider& provider, const Clock& clock_in,
       uint64_t seed);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  const Options options;
  const Clock& clock;
  const uint64_t epoch;
  BlockAllocator blocks;
  ChunkAllocator chunks;
  SegmentStore segments;
  Tables tables;
  ContentStore contents;
  std::array<std::unique_ptr<KeyShard>, kShards> shards;
  Registry registry;
  const Fingerprinter fingerprint;
  std::atomic<uint32_t> next_generation{1};
  std::atomic<uint32_t> next_counter_line{0};
  std::atomic<uint64_t> evicted_pages{0};
  std::atomic<bool> refuses_new_pages{false};  // read under a key shard's lock
  std::mutex credit_mutex;  // of who looks at what is not promised, until the result is told

  // ---- store.cc ----
  // Where an operation of a client on a pool goes.
  struct Target {
    Client& home;
    uint32_t pool;
    PoolState state;  // of the home's pool
    bool shared;
  };
  std::optional<Target> resolve(const Client& client, PoolId pool) const;
  // True while the target still is what resolve saw. Under the key shard's lock.
  static bool is_current(const Target& t) { return t.home.pools[t.pool].load() == t.state; }
  ObjectKey object_key(const Target& t, const ObjectId& id) const {
    return make_key(t.home, t.pool, t.state.generation, id);
  }
  Status put(Worker& worker, Client& client, const Key& key, PageBytes page, Payment payment);
  void count(Worker::State& worker, Client& client, Counter which, uint64_t n = 1);

  // ---- pools.cc ----
  ClientRef join_shared(Client& client, const Uuid& uuid);
  void leave_shared(Client& home);
  // Of a client that was just marked as gone: its pools end, its pages go by and by.
  void remove_pools(Client& client);
  void destroy_pool_of(Client& client, uint32_t pool, bool recreate);
  uint32_t new_generation();

  // ---- reclaim.cc, evict.cc ----
  // Gives some memory back; false when nothing can be given. The caller holds no lock.
  bool make_room(Worker::State& worker);
  // The same for a client at its cap: flushed pages that still count, then its oldest.
  bool make_room_under_cap(Worker::State& worker, Client& client);
  // Memory, of `room_bytes`, that nobody is promised and that persistent pages may take; negative
  // when more is promised.
  int64_t unpromised_bytes(uint64_t room_bytes) const;
  // Acquires slots until that much of what is held is not promised, where memory not held can be
  // lost. Returns how many.
  uint32_t hold_more(int64_t wanted_bytes, uint32_t slots_max);
  // The slots to hold, whatever happens to the limit, so that promises can be kept. 0: any number
  // will do, as the provider's memory is the process's own.
  uint64_t promised_arena_bytes() const;
  // What of the arena shrink() leaves for persistent pages, records and promises.
  uint64_t needed_arena_bytes() const;
  // What shrink() could give back in whole slots.
  uint64_t freeable_slot_bytes() const;
  ShrinkState shrink(Worker::State& worker, unsigned slices);
  // What persistent puts beyond guarantees can have of the room, with closed holes.
  uint64_t best_effort_bytes(uint64_t room_bytes) const;
  // True when a persistent put may take memory beyond its client's guarantee.
  bool best_effort_fits();
  // Call before something is promised, or taken from what is not: best effort looks anew, once
  // credit_mutex is free.
  void forget_best_effort(const std::lock_guard<std::mutex>& /*of_credit_mutex*/) {
    best_effort_puts_ = 0;
  }
  bool evict_some(Worker::State& worker);  // by weight
  bool evict_objects();                    // the same for the heap: of whose index is the largest
  bool evict_from(Worker::State& worker, Client& client);  // its oldest
  // Has the flushed objects of a pool freed by and by; of a removed client all, then its number.
  // Puts into the pool free a part of them each, the background thread the rest.
  void add_flushed(ClientRef client, uint32_t pool);
  void add_removed(ClientRef client);
  // Frees a few pages that flushes of the pool left. For each put into it, so that who flushes
  // without end pays for it with its own queue's time; in a shared pool its members do together.
  void sweep_some(Pool& pool);
  // Frees up to `limit` pages that flushes and dead clients left; false when there were none.
  bool reclaim_pending(Worker::State& worker, uint32_t limit);
  bool maintain(Worker::State& worker, unsigned slices);
  // Every client's and every scope's, kept alive by the pointers.
  std::vector<std::shared_ptr<Owner>> owners() const;
  // What guarantees may take together.
  uint64_t guarantee_room() const {
    const uint64_t room = blocks.lasting_bytes();
    return room - BlockAllocator::reserve_bytes(room);
  }

 private:
  struct Pending {
    ClientRef client;
    uint32_t pool = 0;
    uint32_t last_pool = 0;
    uint32_t shard = 0;
    bool removal = false;  // of the client: forget it at the end
    bool is_new = false;   // a flush nobody looked at: its pool's flush_queued is set
  };
  size_t pending_count() const {
    const std::lock_guard lock(pending_mutex_);
    return pending_.size();
  }
  std::optional<Pending> take_pending();
  bool reclaim_from(Pool& pool, uint32_t shard, uint32_t limit);
  bool reclaim_from_next(Pool& pool, uint32_t& next_shard, uint32_t limit);
  bool reclaim_slice(Pending& pending, uint32_t limit);
  bool finish_removal(Worker::State& worker, Client& client);
  // Evicts the page unless it, or its content, was replaced since `sharer` was found: then the
  // content is not in `segment` (if given) any more, or the page not of `client` (if given).
  bool remove_sharer(const ContentStore::Sharer& sharer, Handle content, const Segment* segment,
                     const Client* client);
  // Counts pages that were taken from the object under its shard's lock as evicted, unless a flush
  // had taken them from the guest before.
  void count_evicted(const ObjectNode& object, uint64_t pages);
  uint64_t drop_segment(Worker::State& worker, Segment& segment);
  uint64_t drop_refs(Client& client, const Owner& scope, const std::vector<Handle>& handles);
  uint64_t drop_scoped(Worker::State& worker, Client& client, uint64_t older_than);
  uint64_t drop_same_filled(Client& client, uint32_t limit);
  uint64_t drop_objects(Client& client, uint32_t limit);
  bool evict_globally_oldest(Worker::State& worker);
  bool compress_some(Worker::State& worker, Tier from, uint64_t put_before_ms,
                     unsigned* blocks_done);
  bool compress_segment(Worker::State& worker, Segment& segment, Tier to);
  bool clean_some(Worker::State& worker, uint32_t dead_share, unsigned* blocks_done);
  // Moves what is live in a busy segment to its owner's open ones and puts it back. False when
  // there was no memory for all of it.
  bool move_contents(Worker::State& worker, Segment& segment);
  bool too_many_holes(uint32_t share) const;
  bool nursery_full() const;
  void seal_idle();
  void enforce_caps(Worker::State& worker);
  bool hold_promises(uint64_t arena_bytes);
  bool maintain_once(Worker::State& worker, bool idle, unsigned* blocks_done);
  bool shrink_once(Worker::State& worker, uint64_t target_bytes, unsigned* blocks_done);
  bool use_less(Worker::State& worker, unsigned* blocks_done);
  bool drain_some(Worker::State& worker, uint64_t least_bytes, unsigned* blocks_done);
  bool move_out_of(Worker::State& worker, uint32_t slot, unsigned* blocks_done);

  // What persistent pages have, are promised, and may still come to need of the arena.
  struct Promises {
    uint64_t charged_bytes;     // to clients, or guaranteed, if that is more; beside the heap
    uint64_t expected_bytes;    // guarantees not yet used, credits, the rest of open segments
    uint64_t kept_block_bytes;  // in use and not evictable
    uint64_t block_bytes() const {
      return std::max(charged_bytes, kept_block_bytes + expected_bytes);
    }
  };
  // Closed holes: what it comes to when segments are packed.
  enum class Holes { kOpen, kClosed };
  Promises promises(Holes holes) const;
  int64_t unpromised_arena_bytes(uint64_t room_bytes, Holes holes) const;
  int64_t unpromised_heap_pages() const;

  std::atomic<int64_t> best_effort_puts_{0};  // that may go on before the next look
  std::atomic<uint64_t> allocations_seen_{0};
  std::atomic<uint32_t> heap_shard_{0};  // where drop_objects() goes on
  std::atomic<uint64_t> active_ms_{0};   // when maintain last saw puts
  mutable std::mutex pending_mutex_;     // innermost
  std::deque<Pending> pending_;          // at most one new entry a pool
  std::mutex shrink_mutex_;              // guards the two below; outermost
  uint32_t left_slot_ = kNoSlot;         // that drain_some() could not empty
  unsigned drain_failures_ = 0;          // in a row
  static constexpr uint32_t kNoSlot = ~0u;
};

// Cleaning starts when this part of all segments is holes, with segments of which at least this
// part is dead: while puts come, a copy must gain something; at rest, holes go.
struct Cleaning {
  uint32_t holes_share;
  uint32_t dead_share;
};
inline constexpr Cleaning kCleanBusy = {12, 6};
inline constexpr Cleaning kCleanIdle = {512, 64};

inline constexpr uint32_t kSlicePages = 64;        // freed under one hold of a shard's lock
inline constexpr uint32_t kBackgroundPages = 16;   // the same, by background work
inline constexpr uint32_t kPagesPerPut = 2;        // the same, by a put into the pool
inline constexpr uint64_t kAnyAge = ~uint64_t{0};  // later than every age and time

// The kinds a loop goes through.
inline constexpr std::array<Kind, kKinds> kAllKinds = {Kind::kEphemeral, Kind::kPersistent};

}  // namespace tmem::store
