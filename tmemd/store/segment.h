// SPDX-License-Identifier: GPL-2.0-or-later
// Segments: append-only runs of blocks that hold contents of one owner, kind and tier. Pages of
// one age lie together, so eviction drops a whole segment and memory comes back in whole blocks.
//
//   open ──(full, idle)──► sealed ──(take)──► busy ──► freed, or sealed again
//
// An owner is a client, or a dedup scope that several clients share. An open segment takes
// appends; a sealed one waits in its owner's lists; a busy one belongs to the thread that took it
// (compressing, cleaning, evicting), so its memory stays although contents may die meanwhile.
// A segment without live bytes is freed by whoever notices under the owner's lock.
//
// Lock order: content shard → owner → blocks.
#pragma once
#include <array>
#include <atomic>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "tmemd/store/blocks.h"
#include "tmemd/store/lazy_array.h"
#include "tmemd/store/records.h"
#include "tmemd/store/spin_lock.h"

namespace tmem::store {

class Client;
struct Owner;

enum class SegmentState : uint8_t { kFree, kOpen, kSealed, kBusy };

struct Segment {
  boost::intrusive::set_member_hook<> age_hook;
  boost::intrusive::list_member_hook<> tier_hook;
  boost::intrusive::list_member_hook<> sparse_hook;

  Owner* owner = nullptr;  // set while not free; written under its lock, and atomically
  uint32_t first_block = 0;
  uint32_t blocks = 0;
  Kind kind{};
  Tier tier{};
  SegmentState state = SegmentState::kFree;
  uint64_t age = 0;  // order of first append; inherited when contents move on
  uint64_t last_append_ms = 0;
  uint64_t newest_ms = 0;   // when its youngest page was put
  uint64_t put_ms_sum = 0;  // over all contents ever appended
  uint32_t used_bytes = 0;
  uint32_t live_bytes = 0;
  std::vector<Handle> contents;  // all ever appended; the live ones are still located here

  uint64_t mean_put_ms() const { return contents.empty() ? 0 : put_ms_sum / contents.size(); }
  // Age decides on the next tier: of a raw segment by its youngest page, as a young page shall not
  // cost a compression; of others, which mix pages that moved, by the mean.
  uint64_t due_ms() const { return tier == Tier::kRaw ? newest_ms : mean_put_ms(); }
  uint32_t size_bytes() const { return blocks * uint32_t{kBlockBytes}; }
  uint64_t offset_bytes() const { return uint64_t{first_block} * kBlockBytes; }
  bool holds(const Location& l) const {
    return l.length_bytes != 0 && l.offset_bytes >= offset_bytes() &&
           l.offset_bytes < offset_bytes() + size_bytes();
  }
};

// Order of eviction. Ages repeat, as contents that move on keep theirs.
struct EvictionRank {
  uint64_t age = 0;
  uint32_t block = 0;
  auto operator<=>(const EvictionRank&) const = default;
};
inline EvictionRank rank_of(const Segment& s) {
  return {s.age, s.first_block};
}

struct ByAge {
  bool operator()(const Segment& a, const Segment& b) const { return rank_of(a) < rank_of(b); }
};
using AgeSet = boost::intrusive::set<
    Segment,
    boost::intrusive::member_hook<Segment, boost::intrusive::set_member_hook<>, &Segment::age_hook>,
    boost::intrusive::compare<ByAge>>;
using TierList = boost::intrusive::list<
    Segment, boost::intrusive::member_hook<Segment, boost::intrusive::list_member_hook<>,
                                           &Segment::tier_hook>>;
using SparseList = boost::intrusive::list<
    Segment, boost::intrusive::member_hook<Segment, boost::intrusive::list_member_hook<>,
                                           &Segment::sparse_hook>>;

struct Owner {
  struct PerKind {
    // Of each tier the one that grows, and a full one whose tail may still take a small content.
    std::array<std::array<Segment*, 2>, kTiers> open{};
    AgeSet by_age;                         // all sealed ones, oldest first
    std::array<TierList, kTiers> by_tier;  // the same, in order of sealing
    SparseList sparse;                     // sealed ones with many holes
    TierList busy;                         // taken out
    std::atomic<uint64_t> size_bytes{0};   // of all its segments
    std::atomic<uint64_t> live_bytes{0};   // of live contents in them
    std::atomic<uint64_t> raw_bytes{0};    // sizes of its raw segments
    uint64_t holes_bytes() const {
      const uint64_t size = size_bytes;
      const uint64_t live = live_bytes;
      return size > live ? size - live : 0;
    }
  };

  Owner(uint32_t number_in, Client* client_in) : number(number_in), client(client_in) {}

  const uint32_t number;
  Client* const client;                // null: a dedup scope of several clients
  std::atomic<bool> compresses{true};  // its raw segments will be compressed
  SpinLock lock;                       // guards the lists and its segments' fields
  std::array<PerKind, kKinds> kinds;

  // Before the store goes: unlinks all segments.
  void clear() {
    for (PerKind& k : kinds) {
      k.sparse.clear();
      for (TierList& list : k.by_tier) list.clear();
      k.busy.clear();
      k.by_age.clear();
    }
  }
  PerKind& of(Kind kind) { return kinds[static_cast<size_t>(kind)]; }
  const PerKind& of(Kind kind) const { return kinds[static_cast<size_t>(kind)]; }
};

class SegmentStore {
 public:
  explicit SegmentStore(BlockAllocator& blocks);

  static constexpr uint64_t kYoungest = ~uint64_t{0};
  struct Append {
    Kind kind;
    Tier tier;  // of the segment; an incompressible page lies raw among compressed ones
    uint32_t length_bytes;
    Handle content;
    uint64_t now_ms;
    uint64_t put_ms;  // when the page was put
    Purpose purpose;
    // Of a segment opened for this append; 0: a new one. kYoungest: of the open one, too.
    uint64_t age = 0;
  };
  // Room for `length_bytes` in the owner's open segment: the arena offset, already counted live.
  std::optional<uint64_t> append(Owner& owner, const Append& what);
  // Takes back what append gave, or what died: the bytes at `l` are no longer live.
  void release(const Location& l);

  // Seals the open segment if its last append was at `idle_before_ms` or earlier.
  void seal(Owner& owner, Kind kind, Tier tier, uint64_t idle_before_ms);

  // Each takes a sealed segment out of the lists and makes it busy; null if there is none.
  Segment* take_oldest(Owner& owner, Kind kind);  // any tier; seals an open one if need be
  // The first in order of sealing whose pages were put at `put_before_ms` or earlier (due_ms).
  Segment* take_from_tier(Owner& owner, Kind kind, Tier tier, uint64_t put_before_ms);
  // One of which at least 1/share of what was appended is dead.
  Segment* take_sparse(Owner& owner, Kind kind, uint32_t share);
  // By place, for a slot that is drained: the owner of the segment that `block` belongs to, or did.
  // Only to be compared with owners that are kept alive: it may be gone. Null if there is none.
  Owner* owner_hint(uint32_t block);
  // Seals the owner's segment at `block` if it is open.
  void seal_at(Owner& owner, uint32_t block);
  // Takes the owner's segment at `block`; null if it is not one, or busy.
  Segment* take_at(Owner& owner, uint32_t block);
  // Ends busy: frees it when nothing is live, else back to the lists as `tier`.
  void put_back(Segment& segment, Tier tier);

  uint32_t live_bytes(Segment& segment);
  // The age of the oldest segment of an owner, open ones included; ~0 if it has none.
  uint64_t oldest_age(Owner& owner, Kind kind);
  // Copies the contents list of the first sealed segment behind `rank` to `out` and returns its
  // rank; nullopt if there is none.
  std::optional<EvictionRank> contents_after(Owner& owner, Kind kind, EvictionRank rank,
                                             std::vector<Handle>& out);

  Segment& segment_at(uint64_t offset_bytes);
  Owner& owner_of(const Location& l) { return *segment_at(l.offset_bytes).owner; }
  std::byte* address(uint64_t offset_bytes) const { return blocks_.base() + offset_bytes; }
  uint64_t count() const { return count_; }

 private:
  Segment* open_segment(Owner& owner, const Append& what);
  bool has_place(Segment& segment, const Append& what);
  Segment* place_for(Owner& owner, const Append& what);
  void seal_locked(Segment& segment);
  Segment* locked_at(const Owner& owner, uint32_t block);
  void list(Segment& segment);
  void unlist(Segment& segment);
  void make_busy(Segment& segment);
  void free_segment(Segment& segment);
  void change_size(Segment& segment, int64_t blocks);
  Segment& new_segment();

  BlockAllocator& blocks_;
  LazyArray<std::atomic<Segment*>> by_block_;  // the segment that a block belongs to
  std::atomic<uint64_t> next_age_{1};
  std::atomic<uint64_t> count_{0};
  std::mutex pool_mutex_;         // guards the two below; innermost
  std::deque<Segment> segments_;  // never shrinks, so that pointers stay good
  std::vector<Segment*> free_segments_;
};

}  // namespace tmem::store
