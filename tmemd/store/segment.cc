// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/store/segment.h"

#include <algorithm>
#include <utility>

#include "libtmem/base/assert.h"

namespace tmem::store {
namespace {

// Segments with at least this part dead are listed for the cleaner. Raw pages move anyway when
// they are compressed.
constexpr uint32_t kSparseShare = 64;
// A full segment with less room than this is sealed; few contents are as small.
constexpr uint32_t kTailBytesMin = 512;
constexpr size_t kGrowing = 0;       // places in PerKind::open
constexpr int kSparseLooksMax = 32;  // entries of the list that one call goes through

uint64_t dead_bytes(const Segment& s) {
  return s.used_bytes - s.live_bytes;
}

bool is_sparse(const Segment& s) {
  if (s.tier == Tier::kRaw && s.owner->compresses) return false;
  return dead_bytes(s) * kSparseShare > s.used_bytes;
}

struct CompareRank {
  bool operator()(const EvictionRank& r, const Segment& s) const { return r < rank_of(s); }
  bool operator()(const Segment& s, const EvictionRank& r) const { return rank_of(s) < r; }
};

// A counter that is written under a lock and read without.
void add_locked(std::atomic<uint64_t>& counter, int64_t step) {
  counter.store(counter.load(std::memory_order_relaxed) + static_cast<uint64_t>(step),
                std::memory_order_relaxed);
}

uint32_t blocks_for(uint32_t bytes) {
  return (bytes + uint32_t{kBlockBytes} - 1) / uint32_t{kBlockBytes};
}

}  // namespace

SegmentStore::SegmentStore(BlockAllocator& blocks)
    : blocks_(blocks), by_block_(blocks.blocks_max()) {}

Segment& SegmentStore::segment_at(uint64_t offset_bytes) {
  Segment* segment = by_block_[offset_bytes / kBlockBytes].load(std::memory_order_relaxed);
  TMEM_ASSERT(segment != nullptr);
  return *segment;
}

Segment& SegmentStore::new_segment() {
  const std::lock_guard lock(pool_mutex_);
  if (free_segments_.empty()) {
    blocks_.add_heap_bytes(sizeof(Segment));
    return segments_.emplace_back();
  }
  Segment& segment = *free_segments_.back();
  free_segments_.pop_back();
  return segment;
}

void SegmentStore::change_size(Segment& segment, int64_t blocks) {
  const auto bytes = static_cast<uint64_t>(blocks * int64_t{kBlockBytes});
  auto& of_kind = segment.owner->of(segment.kind);
  of_kind.size_bytes += bytes;
  if (segment.tier == Tier::kRaw) of_kind.raw_bytes += bytes;
}

Segment* SegmentStore::open_segment(Owner& owner, const Append& what) {
  auto& of_kind = owner.of(what.kind);
  const auto first = blocks_.allocate_run(what.purpose);
  if (!first) return nullptr;
  Segment& segment = new_segment();
  std::atomic_ref(segment.owner).store(&owner, std::memory_order_relaxed);
  segment.first_block = *first;
  segment.blocks = 1;
  segment.kind = what.kind;
  segment.tier = what.tier;
  segment.state = SegmentState::kOpen;
  segment.age = what.age == 0 || what.age == kYoungest ? next_age_++ : what.age;
  segment.used_bytes = 0;
  segment.live_bytes = 0;
  segment.newest_ms = 0;
  segment.put_ms_sum = 0;
  by_block_[*first].store(&segment, std::memory_order_release);
  change_size(segment, segment.blocks);
  ++count_;
  of_kind.open[static_cast<size_t>(what.tier)][kGrowing] = &segment;
  return &segment;
}

// Grows the open segment until the append fits; false when it cannot.
bool SegmentStore::has_place(Segment& segment, const Append& what) {
  while (segment.used_bytes + what.length_bytes > segment.size_bytes()) {
    if (segment.blocks == kRunBlocksMax ||
        !blocks_.extend(segment.first_block, segment.blocks, what.purpose))
      return false;
    by_block_[segment.first_block + segment.blocks].store(&segment, std::memory_order_release);
    change_size(segment, 1);
    ++segment.blocks;
  }
  return true;
}

Segment* SegmentStore::place_for(Owner& owner, const Append& what) {
  auto& [growing, full] = owner.of(what.kind).open[static_cast<size_t>(what.tier)];
  if (full != nullptr && full->used_bytes + what.length_bytes <= full->size_bytes()) return full;
  if (growing != nullptr && has_place(*growing, what)) return growing;
  if (growing != nullptr) {
    if (full != nullptr) seal_locked(*full);
    full = std::exchange(growing, nullptr);
    if (full->size_bytes() - full->used_bytes < kTailBytesMin) seal_locked(*full);
  }
  return open_segment(owner, what);
}

std::optional<uint64_t> SegmentStore::append(Owner& owner, const Append& what) {
  const std::lock_guard lock(owner.lock);
  auto& of_kind = owner.of(what.kind);
  Segment* segment = place_for(owner, what);
  if (segment == nullptr) return std::nullopt;
  if (what.age == kYoungest) segment->age = next_age_++;
  const uint64_t offset = segment->offset_bytes() + segment->used_bytes;
  segment->used_bytes += what.length_bytes;
  segment->live_bytes += what.length_bytes;
  segment->last_append_ms = what.now_ms;
  segment->newest_ms = std::max(segment->newest_ms, what.put_ms);
  segment->put_ms_sum += what.put_ms;
  segment->contents.push_back(what.content);
  add_locked(of_kind.live_bytes, what.length_bytes);
  return offset;
}

void SegmentStore::release(const Location& l) {
  // The content at `l` was live until now, so its segment is not free and its owner is fixed.
  Segment& segment = segment_at(l.offset_bytes);
  Owner& owner = *segment.owner;
  const std::lock_guard lock(owner.lock);
  const bool was_sparse = is_sparse(segment);
  TMEM_ASSERT(segment.live_bytes >= l.length_bytes);
  segment.live_bytes -= static_cast<uint32_t>(l.length_bytes);
  auto& of_kind = owner.of(segment.kind);
  add_locked(of_kind.live_bytes, -static_cast<int64_t>(l.length_bytes));
  if (segment.state == SegmentState::kOpen && segment.live_bytes == 0) {
    // Starts over with one block.
    if (segment.blocks > 1) {
      blocks_.free(segment.first_block + 1, segment.blocks - 1);
      change_size(segment, 1 - int64_t{segment.blocks});
      segment.blocks = 1;
    }
    segment.used_bytes = 0;
    segment.newest_ms = 0;
    segment.put_ms_sum = 0;
    segment.contents.clear();
  } else if (segment.state == SegmentState::kSealed) {
    if (segment.live_bytes == 0) {
      unlist(segment);
      free_segment(segment);
    } else if (!was_sparse && is_sparse(segment) && !segment.sparse_hook.is_linked()) {
      of_kind.sparse.push_back(segment);
    }
  }
}

void SegmentStore::list(Segment& segment) {
  auto& of_kind = segment.owner->of(segment.kind);
  segment.state = SegmentState::kSealed;
  of_kind.by_age.insert(segment);
  of_kind.by_tier[static_cast<size_t>(segment.tier)].push_back(segment);
  if (is_sparse(segment)) of_kind.sparse.push_back(segment);
}

void SegmentStore::unlist(Segment& segment) {
  auto& of_kind = segment.owner->of(segment.kind);
  of_kind.by_age.erase(of_kind.by_age.iterator_to(segment));
  auto& tier = of_kind.by_tier[static_cast<size_t>(segment.tier)];
  tier.erase(tier.iterator_to(segment));
  if (segment.sparse_hook.is_linked()) of_kind.sparse.erase(of_kind.sparse.iterator_to(segment));
}

void SegmentStore::make_busy(Segment& segment) {
  unlist(segment);
  segment.state = SegmentState::kBusy;
  segment.owner->of(segment.kind).busy.push_back(segment);
}

void SegmentStore::free_segment(Segment& segment) {
  TMEM_ASSERT(segment.live_bytes == 0);
  change_size(segment, -int64_t{segment.blocks});
  blocks_.add_heap_bytes(-static_cast<int64_t>(segment.contents.capacity() * sizeof(Handle)));
  std::vector<Handle>().swap(segment.contents);
  segment.state = SegmentState::kFree;
  std::atomic_ref(segment.owner).store(nullptr, std::memory_order_relaxed);
  blocks_.free(segment.first_block, segment.blocks);
  --count_;
  const std::lock_guard lock(pool_mutex_);
  free_segments_.push_back(&segment);
}

// Gives the unused blocks of the tail back and lists the segment, or frees it when it is empty.
void SegmentStore::seal_locked(Segment& segment) {
  for (Segment*& open : segment.owner->of(segment.kind).open[static_cast<size_t>(segment.tier)])
    if (open == &segment) open = nullptr;
  segment.contents.shrink_to_fit();
  blocks_.add_heap_bytes(static_cast<int64_t>(segment.contents.capacity() * sizeof(Handle)));
  const uint32_t needed = blocks_for(segment.used_bytes);
  if (segment.live_bytes == 0) {
    free_segment(segment);
    return;
  }
  if (needed < segment.blocks) {
    blocks_.free(segment.first_block + needed, segment.blocks - needed);
    change_size(segment, int64_t{needed} - int64_t{segment.blocks});
    segment.blocks = needed;
  }
  list(segment);
}

void SegmentStore::seal(Owner& owner, Kind kind, Tier tier, uint64_t idle_before_ms) {
  const std::lock_guard lock(owner.lock);
  for (Segment* segment : owner.of(kind).open[static_cast<size_t>(tier)])
    if (segment != nullptr && segment->last_append_ms <= idle_before_ms) seal_locked(*segment);
}

Segment* SegmentStore::take_oldest(Owner& owner, Kind kind) {
  const std::lock_guard lock(owner.lock);
  auto& of_kind = owner.of(kind);
  if (of_kind.by_age.empty())
    for (auto& of_tier : of_kind.open)
      for (Segment* open : of_tier)
        if (open != nullptr) seal_locked(*open);
  if (of_kind.by_age.empty()) return nullptr;
  Segment& segment = *of_kind.by_age.begin();
  make_busy(segment);
  return &segment;
}

Segment* SegmentStore::take_from_tier(Owner& owner, Kind kind, Tier tier, uint64_t put_before_ms) {
  const std::lock_guard lock(owner.lock);
  auto& list = owner.of(kind).by_tier[static_cast<size_t>(tier)];
  if (list.empty() || list.front().due_ms() > put_before_ms) return nullptr;
  Segment& segment = list.front();
  make_busy(segment);
  return &segment;
}

Segment* SegmentStore::take_sparse(Owner& owner, Kind kind, uint32_t share) {
  const std::lock_guard lock(owner.lock);
  int looks = 0;
  for (Segment& segment : owner.of(kind).sparse) {
    if (dead_bytes(segment) * share > segment.used_bytes) {
      make_busy(segment);
      return &segment;
    }
    if (++looks == kSparseLooksMax) break;
  }
  return nullptr;
}

void SegmentStore::put_back(Segment& segment, Tier tier) {
  const std::lock_guard lock(segment.owner->lock);
  TMEM_ASSERT(segment.state == SegmentState::kBusy);
  auto& busy = segment.owner->of(segment.kind).busy;
  busy.erase(busy.iterator_to(segment));
  if (segment.live_bytes == 0) {
    free_segment(segment);
    return;
  }
  if (tier != segment.tier) {
    if (segment.tier == Tier::kRaw)
      segment.owner->of(segment.kind).raw_bytes -= segment.size_bytes();
    segment.tier = tier;
  }
  list(segment);
}

uint32_t SegmentStore::live_bytes(Segment& segment) {
  const std::lock_guard lock(segment.owner->lock);
  return segment.live_bytes;
}

uint64_t SegmentStore::oldest_age(Owner& owner, Kind kind) {
  const std::lock_guard lock(owner.lock);
  auto& of_kind = owner.of(kind);
  uint64_t age = of_kind.by_age.empty() ? ~uint64_t{0} : of_kind.by_age.begin()->age;
  for (const auto& of_tier : of_kind.open)
    for (const Segment* open : of_tier)
      if (open != nullptr) age = std::min(age, open->age);
  return age;
}

std::optional<EvictionRank> SegmentStore::contents_after(Owner& owner, Kind kind, EvictionRank rank,
                                                         std::vector<Handle>& out) {
  const std::lock_guard lock(owner.lock);
  auto& of_kind = owner.of(kind);
  const auto next = of_kind.by_age.upper_bound(rank, CompareRank{});
  if (next == of_kind.by_age.end()) return std::nullopt;
  out.assign(next->contents.begin(), next->contents.end());
  return rank_of(*next);
}

}  // namespace tmem::store
