// SPDX-License-Identifier: GPL-2.0-or-later
// One client (a guest), or a shared pool, which is a client of its own: identity, settings, pools,
// what it is charged, counters.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/unordered_set.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "tmemd/store/records.h"
#include "tmemd/store/segment.h"
#include "tmemd/store/types.h"

namespace tmem::store {

// What a page costs in records and index, charged per page: page and content record, its share of
// index leaf, dedup bucket and contents list. Pages alone in their objects cost more: see
// Client::index_bytes().
inline constexpr uint64_t kRecordBytes = 64;
inline constexpr uint64_t kPageRecordsBytes = sizeof(PageRecord) + sizeof(ContentRecord);
// What the pool must have for a page whose contents are not known yet.
inline constexpr uint64_t kRawPageBytes = kPageBytes + kRecordBytes;

struct ObjectNode;
using PoolObjectHook = boost::intrusive::list_member_hook<>;

// An object of the index. Guarded by its key shard.
struct Leaf;
struct ObjectNode {
  boost::intrusive::unordered_set_member_hook<> hash_hook;
  PoolObjectHook pool_hook;
  ObjectId id;
  Client* client = nullptr;
  uint32_t pool = 0;
  uint32_t generation = 0;  // of the pool when it was made
  Kind kind{};
  bool detached = false;  // flushed: not in the hash set, waits for reclaim
  uint64_t hash = 0;      // of its key
  Handle record = 0;
  uint64_t pages = 0;
  Leaf* leaves = nullptr;  // list, owned, the newest first

  // Nobody can see its pages any more: it was flushed, or its pool.
  bool is_stale() const;
};
using PoolObjectList = boost::intrusive::list<
    ObjectNode, boost::intrusive::member_hook<ObjectNode, PoolObjectHook, &ObjectNode::pool_hook>>;

// A pool's state in one word, so that an operation sees one pool even while it is replaced.
struct PoolState {
  uint32_t generation = 0;  // 0: no pool
  Kind kind{};
  bool shared = false;

  bool alive() const { return generation != 0; }
  bool operator==(const PoolState&) const = default;
  uint64_t pack() const {
    return uint64_t{generation} << 32 | uint64_t{shared} << 1 | static_cast<uint64_t>(kind);
  }
  static PoolState unpack(uint64_t word) {
    return {static_cast<uint32_t>(word >> 32), static_cast<Kind>(word & 1), (word & 2) != 0};
  }
};

struct Pool {
  std::atomic<uint64_t> state{0};      // PoolState
  std::atomic<Client*> home{nullptr};  // who holds its pages: the client, or the shared pool
  // Shards, from the first on, that its puts have yet to look through for what a flush left.
  std::atomic<uint32_t> unswept_shards{0};
  std::array<std::atomic<uint64_t>, kShards> pages_in{};  // by key shard, written under its lock
  Uuid uuid{};                                            // under the client's mutex
  bool flush_queued = false;  // for reclaim, which has not looked yet; under the queue's mutex
  // By key shard, guarded by it. Objects of an older generation stand in front.
  std::array<PoolObjectList, kShards> objects;

  uint64_t pages() const {
    uint64_t sum = 0;
    for (const auto& in_shard : pages_in) sum += in_shard.load(std::memory_order_relaxed);
    return sum;
  }
  PoolState load() const { return PoolState::unpack(state.load(std::memory_order_acquire)); }
};

// Counters of one group of workers: a line of its own, so that workers do not share it.
struct alignas(64) CounterLine {
  std::array<std::atomic<uint64_t>, sizeof(ClientCounters) / sizeof(uint64_t)> value{};
};

// Positions in a CounterLine: the order of ClientCounters' members. A put or get counts its outcome
// only, once: kPuts and kGets are those without another place here (no such pool; a miss of a
// persistent one), kPutsOk and kHits are of ephemeral pools.
enum class Counter : size_t {
  kPuts,
  kPutsOk,
  kPutsNoSpace,
  kPutsFrozen,
  kPutsSameFilled,
  kPutsDuplicate,
  kPutsReplaced,
  kGets,
  kHits,
  kFlushes,
  kFlushesFound,
  kEvictedPages,
  kPersistentPuts,
  kPersistentHits,
  kEphemeralMisses,
  kCount,
};
static_assert(sizeof(ClientCounters) == static_cast<size_t>(Counter::kCount) * sizeof(uint64_t));

class Client : public std::enable_shared_from_this<Client> {
 public:
  static constexpr uint32_t kCounterLines = 8;

  Client(uint32_t number_in, ClientIdentity identity_in, bool is_shared_pool_in, uint64_t salt_in,
         uint64_t epoch_in)
      : number(number_in),
        identity(std::move(identity_in)),
        is_shared_pool(is_shared_pool_in),
        salt(salt_in),
        epoch(epoch_in),
        owner(number_in, this) {}

  const uint32_t number;
  const ClientIdentity identity;
  const bool is_shared_pool;
  const uint64_t salt;   // secret; keys the hashes of its ids
  const uint64_t epoch;  // published to the guest; no other client of any daemon has it
  Owner owner;
  std::array<Pool, kPoolsMax> pools;

  // Settings. The copy under the mutex is complete; the atomics are what the data path reads.
  mutable std::mutex mutex;
  ClientSettings settings;
  std::set<std::shared_ptr<Client>> homes;            // shared pools it ever joined: kept alive
  std::map<const Owner*, EvictionRank> scope_cursor;  // up to where scope segments were evicted
  bool removed = false;
  uint32_t members = 0;             // of a shared pool; under the registry's mutex
  std::atomic<uint32_t> weight{0};  // that eviction goes by: the settings', or less
  std::atomic<uint64_t> cap_pages{kNoCap};
  std::atomic<uint64_t> guarantee_bytes{0};
  std::atomic<bool> frozen{false};
  std::atomic<bool> live{true};
  std::atomic<Owner*> dedup_owner{nullptr};  // null: no dedup

  // What it holds. One line: an operation touches all of it or nothing.
  struct alignas(64) Usage {
    std::array<std::atomic<uint64_t>, kKinds> pages{};          // with puts under way
    std::array<std::atomic<uint64_t>, kKinds> content_bytes{};  // each content it shows, once
    std::atomic<uint64_t> scoped_bytes{0};  // of these, ephemeral ones in segments of a scope
    std::atomic<uint64_t> credits{0};       // raw pages kept for persistent puts to come
    std::array<std::atomic<uint64_t>, kKinds> heap_bytes{};  // of its objects and leaves
  } usage;
  std::array<CounterLine, kCounterLines> counters;

  void add(uint32_t line, Counter which, uint64_t n) {
    counters[line].value[static_cast<size_t>(which)].fetch_add(n, std::memory_order_relaxed);
  }
  // Records and index. A page alone in its object has 184 bytes of nodes in the heap; a quarter of
  // that is for the object's record (32 bytes) and the buckets of two hash sets.
  uint64_t index_bytes(Kind kind) const {
    const auto k = static_cast<size_t>(kind);
    const uint64_t pages = usage.pages[k];
    return std::max(pages * kRecordBytes, pages * kPageRecordsBytes + usage.heap_bytes[k] * 5 / 4);
  }
  uint64_t charged_bytes(Kind kind) const {
    const auto k = static_cast<size_t>(kind);
    const uint64_t credits = kind == Kind::kPersistent ? usage.credits.load() : 0;
    return usage.content_bytes[k] + index_bytes(kind) + owner.of(kind).holes_bytes() +
           credits * kRawPageBytes;
  }
  uint64_t pages() const { return usage.pages[0] + usage.pages[1]; }
  // Counts one page more, unless the cap forbids it. Credits count as pages, but for a put that was
  // paid with one: that has its place.
  bool acquire_page(Kind kind, Payment payment, uint64_t slack_pages) {
    auto& of_kind = usage.pages[static_cast<size_t>(kind)];
    of_kind.fetch_add(1, std::memory_order_relaxed);
    const uint64_t cap = cap_pages.load(std::memory_order_relaxed);
    if (cap == kNoCap) return true;
    if (payment == Payment::kCredit) ++slack_pages;
    if (pages() + usage.credits <= cap + slack_pages) return true;
    of_kind.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  void release_page(Kind kind) {
    usage.pages[static_cast<size_t>(kind)].fetch_sub(1, std::memory_order_relaxed);
  }
};

inline bool ObjectNode::is_stale() const {
  return detached || generation != client->pools[pool].load().generation;
}

}  // namespace tmem::store
