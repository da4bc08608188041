// SPDX-License-Identifier: GPL-2.0-or-later
// Words of the store: keys, statuses, what a client is and is allowed, what can be told of it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libtmem/base/units.h"

namespace tmem::store {

// Answer of an operation; the numbers are the wire's (tmem_status of abi.h).
enum class Status : uint8_t {
  kOk = 0,
  kMiss = 1,
  kNoSpace = 2,
  kFrozen = 3,
  kNoSuchPool = 4,
  kRefused = 5,
  kStaleEpoch = 6,
  kBadRequest = 7,
};

struct ObjectId {
  std::array<uint64_t, 3> word{};
  bool operator==(const ObjectId&) const = default;
};

// A page's name within a client. PoolId is < kPoolsMax: the decoder has checked it.
struct Key {
  PoolId pool{};
  ObjectId object;
  uint32_t index = 0;
};

inline constexpr uint32_t kPoolsMax = 16;

enum class Kind : uint8_t { kEphemeral = 0, kPersistent = 1 };
inline constexpr size_t kKinds = 2;

// How a page's bytes are kept.
enum class Tier : uint8_t { kRaw = 0, kLz4 = 1, kZstd = 2 };
inline constexpr size_t kTiers = 3;

// Among whose pages equal contents are kept once. Sharing across clients is a side channel: a
// client can time a put to learn whether another holds the page. kClient is the default.
enum class DedupScope : uint8_t { kNone = 0, kClient = 1, kGroup = 2, kHost = 3 };

std::string_view to_string(DedupScope scope);
std::string_view to_string(Status status);

struct PoolSpec {
  Kind kind = Kind::kEphemeral;
  bool shared = false;  // ephemeral only
  Uuid uuid{};          // names a shared pool
  bool operator==(const PoolSpec&) const = default;
};

// Whether a put's page has room that reserve_credits() kept for it.
enum class Payment : uint8_t { kNone, kCredit };

inline constexpr uint64_t kNoCap = ~uint64_t{0};
inline constexpr uint64_t kNoHeapMax = ~uint64_t{0};

// What the administrator grants a client.
struct ClientSettings {
  // Share of the ephemeral memory: weight / sum of weights. 0: only while memory is free.
  uint32_t weight = 100;
  // The most pages it may hold, of both kinds together, counted before dedup and compression.
  uint64_t cap_pages = kNoCap;
  // Bytes kept for its persistent pages (stored size, records and holes included).
  uint64_t guarantee_bytes = 0;
  bool compress = true;  // false: its pages stay raw
  bool frozen = false;   // true: new puts are refused; overwrites, gets and flushes go on
  DedupScope dedup = DedupScope::kClient;
  std::string dedup_group;  // names the clients that trust each other, with kGroup
};

struct ClientIdentity {
  Uuid uuid{};       // who it is; domids are recycled, so state is keyed by both
  DomId domid{};     // Xen's number, or the loopback connection's
  std::string name;  // for people
};

struct Options {
  // All memory the store may hold, arena and metadata together.
  uint64_t budget_bytes = 256 * kMiB;
  // Of these, what the process's own memory may hold: the volatile index. Persistent pages that
  // are there already may keep it above.
  uint64_t heap_bytes_max = kNoHeapMax;
  // Age at which a sealed raw segment is compressed with LZ4, and an LZ4 segment with zstd. A
  // page that is got or flushed before costs no compression.
  uint64_t lz4_after_ms = 2'000;
  uint64_t zstd_after_ms = 60'000;
  // Raw pages may take this share of the budget before they are compressed regardless of age.
  uint32_t nursery_percent = 10;
  bool zstd = true;  // use the zstd tier at all
  // Published to clients. 0: made from the seed, for tests; the daemon passes a random one, as the
  // secret seed must not follow from it.
  uint64_t epoch = 0;
};

// Counters of one client (or of a shared pool, which is its own client). All since its start.
struct ClientCounters {
  uint64_t puts = 0;  // attempts
  uint64_t puts_ok = 0;
  uint64_t puts_no_space = 0;
  uint64_t puts_frozen = 0;
  uint64_t puts_same_filled = 0;  // stored as eight bytes
  uint64_t puts_duplicate = 0;    // stored as a reference to equal content
  uint64_t puts_replaced = 0;     // the key held an older page
  uint64_t gets = 0;
  uint64_t hits = 0;
  uint64_t flushes = 0;  // page and object
  uint64_t flushes_found = 0;
  uint64_t evicted_pages = 0;
  uint64_t persistent_puts = 0;  // of puts_ok; the rest was ephemeral
  uint64_t persistent_hits = 0;  // of hits; the rest was ephemeral
  uint64_t ephemeral_misses = 0;
};

struct PoolStats {
  PoolId id{};
  PoolSpec spec;
  uint64_t pages = 0;
};

struct ClientStats {
  uint32_t number = 0;  // the store's number of this client, unique while it lives
  ClientIdentity identity;
  bool is_shared_pool = false;
  ClientSettings settings;
  uint32_t effective_weight = 0;  // that eviction goes by: see Store::tax()
  ClientCounters counters;
  std::array<uint64_t, kKinds> pages{};          // apparent: what the client put
  std::array<uint64_t, kKinds> charged_bytes{};  // stored size, records, holes and credits
  uint32_t credits = 0;                          // raw pages kept for its persistent puts
  uint64_t entitled_bytes = 0;  // its share of the ephemeral memory by effective weight
  std::vector<PoolStats> pools;
};

// How far Store::shrink got.
enum class ShrinkState : uint8_t {
  kDone,   // the slots are within the arena limit
  kMore,   // call again
  kStuck,  // what is left holds persistent pages, records, or what is promised
};

struct StoreStats {
  uint64_t budget_bytes = 0;
  uint64_t limit_bytes = 0;  // what it may hold now: of the budget, what the arena limit allows
  // Of that, what persistent puts beyond guarantees can have, when all ephemeral pages go and
  // segments are packed. 0 too where the heap has no room for their index.
  uint64_t best_effort_bytes = 0;
  uint64_t held_bytes = 0;      // memory it holds, all metadata included
  uint64_t metadata_bytes = 0;  // the part of held_bytes that holds no page contents
  uint64_t heap_bytes = 0;      // of these, the volatile index, in the process's own memory
  uint64_t heap_bytes_max = 0;
  uint64_t reserve_bytes = 0;  // kept for the cleaner
  // Free + what dropping all ephemeral pages gives. Of a provider that cannot discard: what
  // shrink() can give back in whole slots, at least.
  uint64_t freeable_bytes = 0;
  uint64_t arena_bytes = 0;  // slots not given back, whole
  uint64_t guaranteed_bytes = 0;
  std::array<uint64_t, kKinds> pages{};         // apparent
  std::array<uint64_t, kKinds> stored_bytes{};  // of contents, after dedup and compression
  uint64_t same_filled_pages = 0;
  uint64_t contents = 0;                      // distinct stored contents
  uint64_t duplicate_pages = 0;               // references beyond the first
  std::array<uint64_t, kTiers> tier_pages{};  // contents by tier
  std::array<uint64_t, kTiers> tier_bytes{};  // their stored bytes
  uint64_t compressed_pages = 0;              // contents ever moved raw -> LZ4
  uint64_t recompressed_pages = 0;            // contents ever moved LZ4 -> zstd
  uint64_t incompressible_pages = 0;
  uint64_t evicted_pages = 0;
  uint64_t cleaned_pages = 0;  // contents moved by the cleaner
  uint64_t segments = 0;
  uint64_t released_slots = 0;  // 2 MiB slots given back, ever
  uint32_t clients = 0;
};

}  // namespace tmem::store
