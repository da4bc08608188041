// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/store/segment.h"

#include <algorithm>
#include <bit>

#include "libtmem/base/assert.h"

namespace tmem::store {
namespace {

// Open segments of an owner together stay near 1 % of what it holds: up to three tiers of a kind
// are open, half full on average.
unsigned order_for(uint64_t owner_bytes) {
  const uint64_t blocks = owner_bytes / 128 / kBlockBytes;
  if (blocks == 0) return 0;
  return std::min<unsigned>(kOrderMax, static_cast<unsigned>(std::bit_width(blocks)) - 1);
}

// Whether cleaning a sealed segment is worth its copies: 1/16 of what was appended is dead. Raw
// pages move anyway when they are compressed.
bool is_sparse(const Segment& s) {
  if (s.tier == Tier::kRaw && s.owner->compresses) return false;
  return uint64_t{s.used_bytes - s.live_bytes} * 16 > s.used_bytes;
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
  if (segment.tier == Tier::kRaw) {
    of_kind.raw_bytes += bytes;
    raw_bytes_ += bytes;
  }
}

Segment* SegmentStore::open_segment(Owner& owner, const Append& what) {
  auto& of_kind = owner.of(what.kind);
  std::optional<uint32_t> first;
  unsigned order = order_for(of_kind.size_bytes) + 1;
  while (!first && order > 0) first = blocks_.allocate(--order, what.purpose);
  if (!first) return nullptr;
  Segment& segment = new_segment();
  segment.owner = &owner;
  segment.first_block = *first;
  segment.blocks = 1u << order;
  segment.kind = what.kind;
  segment.tier = what.tier;
  segment.state = SegmentState::kOpen;
  segment.age = what.age == 0 || what.age == kYoungest ? next_age_++ : what.age;
  segment.used_bytes = 0;
  segment.live_bytes = 0;
  segment.newest_ms = 0;
  segment.put_ms_sum = 0;
  for (uint32_t b = 0; b < segment.blocks; ++b)
    by_block_[*first + b].store(&segment, std::memory_order_relaxed);
  change_size(segment, segment.blocks);
  ++count_;
  of_kind.open[static_cast<size_t>(what.tier)] = &segment;
  return &segment;
}

std::optional<uint64_t> SegmentStore::append(Owner& owner, const Append& what) {
  const std::lock_guard lock(owner.lock);
  auto& of_kind = owner.of(what.kind);
  Segment* segment = of_kind.open[static_cast<size_t>(what.tier)];
  if (segment != nullptr && segment->used_bytes + what.length_bytes > segment->size_bytes()) {
    seal_locked(*segment);
    segment = nullptr;
  }
  if (segment == nullptr) segment = open_segment(owner, what);
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
    segment.used_bytes = 0;  // start over in place
    segment.newest_ms = 0;
    segment.put_ms_sum = 0;
    segment.contents.clear();
  } else if (segment.state == SegmentState::kSealed) {
    if (segment.live_bytes == 0) {
      unlist(segment);
      free_segment(segment);
    } else if (!was_sparse && is_sparse(segment)) {
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
  blocks_.free(segment.first_block, segment.blocks);
  --count_;
  const std::lock_guard lock(pool_mutex_);
  free_segments_.push_back(&segment);
}

// Gives the unused blocks of the tail back and lists the segment, or frees it when it is empty.
void SegmentStore::seal_locked(Segment& segment) {
  segment.owner->of(segment.kind).open[static_cast<size_t>(segment.tier)] = nullptr;
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
  Segment* segment = owner.of(kind).open[static_cast<size_t>(tier)];
  if (segment != nullptr && segment->last_append_ms <= idle_before_ms) seal_locked(*segment);
}

Segment* SegmentStore::take_oldest(Owner& owner, Kind kind) {
  const std::lock_guard lock(owner.lock);
  auto& of_kind = owner.of(kind);
  if (of_kind.by_age.empty())
    for (Segment* open : of_kind.open)
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

Segment* SegmentStore::take_sparse(Owner& owner, Kind kind) {
  const std::lock_guard lock(owner.lock);
  auto& list = owner.of(kind).sparse;
  if (list.empty()) return nullptr;
  Segment& segment = list.front();
  make_busy(segment);
  return &segment;
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
    if (segment.tier == Tier::kRaw) {
      segment.owner->of(segment.kind).raw_bytes -= segment.size_bytes();
      raw_bytes_ -= segment.size_bytes();
    }
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
  for (const Segment* open : of_kind.open)
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
