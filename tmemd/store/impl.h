// SPDX-License-Identifier: GPL-2.0-or-later
// The store's parts and what they share. pools.cc and store.cc hold the operations; reclaim.cc,
// evict.cc and compact.cc what gives memory back; admin.cc settings and statistics.
//
// Lock order: credits → registry → client.mutex → key shard → content shard → owner → blocks. A
// thread holds one of each kind at most.
#pragma once
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
  std::mutex credit_mutex;

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
  void destroy_pool_of(Client& client, uint32_t pool, bool recreate);
  uint32_t new_generation();

  // ---- reclaim.cc, evict.cc ----
  // Gives some memory back; false when nothing can be given. The caller holds no lock.
  bool make_room(Worker::State& worker);
  // The same for a client at its cap: flushed pages that still count, then its oldest.
  bool make_room_under_cap(Worker::State& worker, Client& client);
  // Memory that nobody is promised and that persistent pages may take.
  uint64_t unpromised_bytes() const;
  // True when a persistent put may take memory beyond its client's guarantee.
  bool best_effort_fits();
  // Call when something was promised: best effort looks anew.
  void forget_best_effort() { best_effort_puts_ = 0; }
  bool evict_some(Worker::State& worker);                  // by weight
  bool evict_from(Worker::State& worker, Client& client);  // its oldest
  // Has the flushed objects of a pool freed by and by; of a removed client all, then its number.
  void add_flushed(ClientRef client, uint32_t pool);
  void add_removed(ClientRef client);
  // Frees up to `limit` pages that flushes and dead clients left; false when there were none.
  bool reclaim_pending(uint32_t limit);
  bool maintain(Worker::State& worker, unsigned slices);
  // Every client's and every scope's, kept alive by the pointers.
  std::vector<std::shared_ptr<Owner>> owners() const;
  // What guarantees may take together.
  uint64_t guarantee_room() const { return blocks.budget_bytes() - blocks.reserve_bytes(); }

 private:
  struct Pending {
    ClientRef client;
    uint32_t pool;
    uint32_t last_pool;
    uint32_t shard;
    bool removal;  // of the client: forget it at the end
  };
  bool reclaim_slice(Pending& pending, uint32_t limit);
  bool finish_removal(Client& client);
  // Evicts the page unless it, or its content, was replaced since `sharer` was found: then the
  // content is not in `segment` (if given) any more, or the page not of `client` (if given).
  bool remove_sharer(const ContentStore::Sharer& sharer, Handle content, const Segment* segment,
                     const Client* client);
  uint64_t drop_segment(Worker::State& worker, Segment& segment);
  uint64_t drop_refs(Client& client, const Owner& scope, const std::vector<Handle>& handles);
  uint64_t drop_scoped(Worker::State& worker, Client& client, uint64_t older_than);
  uint64_t drop_same_filled(Client& client, uint32_t limit);
  bool evict_globally_oldest(Worker::State& worker);
  bool compress_some(Worker::State& worker, Tier from, uint64_t put_before_ms,
                     unsigned* blocks_done);
  bool compress_segment(Worker::State& worker, Segment& segment, Tier to);
  bool clean_some(uint32_t dead_share, unsigned* blocks_done);
  bool too_many_holes(uint32_t share) const;
  bool nursery_full() const;
  void seal_idle();
  void enforce_caps(Worker::State& worker);
  bool maintain_once(Worker::State& worker, bool idle, unsigned* blocks_done);

  std::atomic<int64_t> best_effort_puts_{0};  // that may go on before the next look
  std::atomic<uint64_t> allocations_seen_{0};
  std::atomic<uint64_t> active_ms_{0};  // when maintain last saw puts
  std::mutex pending_mutex_;            // innermost
  std::deque<Pending> pending_;
};

inline constexpr uint32_t kSlicePages = 64;        // freed under one hold of a shard's lock
inline constexpr uint64_t kAnyAge = ~uint64_t{0};  // later than every age and time

// The kinds a loop goes through.
inline constexpr std::array<Kind, kKinds> kAllKinds = {Kind::kEphemeral, Kind::kPersistent};

}  // namespace tmem::store
