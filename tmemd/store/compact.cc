// SPDX-License-Identifier: GPL-2.0-or-later
// Compression of segments that have come of age, and cleaning of those with holes: both copy what
// is live out of a segment that is then freed.
#include <algorithm>

#include "tmemd/store/impl.h"

namespace tmem::store {
namespace {

// Raw pages lie in the order of the contents list.
void prefetch_page(const std::byte* segment_bytes, const Segment& segment, size_t i) {
  if ((i + 1) * kPageBytes > segment.used_bytes) return;
  for (size_t line = 0; line < kPageBytes; line += 64)
    __builtin_prefetch(segment_bytes + i * kPageBytes + line);
}

}  // namespace

// ---- Compression ----

bool Impl::nursery_full() const {
  uint64_t raw_bytes = 0;
  for (const auto& owner : owners())
    if (owner->compresses)
      for (const Kind kind : kAllKinds) raw_bytes += owner->of(kind).raw_bytes;
  return raw_bytes > blocks.room_bytes() / 100 * options.nursery_percent;
}

bool Impl::compress_segment(Worker::State& worker, Segment& segment, Tier to) {
  const uint64_t now_ms = clock.now_ms();
  const std::byte* bytes = segments.address(segment.offset_bytes());
  bool room = true;
  for (size_t i = 0; i < segment.contents.size() && room; ++i) {
    if (to == Tier::kLz4) prefetch_page(bytes, segment, i + 1);
    room = contents.compress(worker, segment.contents[i], segment, to, now_ms);
    worker.pause_between_pages();
  }
  if (!room) {
    segments.put_back(segment, segment.tier);
    return false;
  }
  // What is left does not compress. A segment that is nearly full stays as it is.
  const uint32_t left_bytes = segments.live_bytes(segment);
  if (left_bytes != 0 && left_bytes < segment.size_bytes() / 64 * 63)
    for (const Handle h : segment.contents) {
      (void)contents.relocate(h, segment, *segment.owner, to, now_ms);
      worker.pause_between_pages();
    }
  segments.put_back(segment, to);
  return true;
}

// Takes the oldest due segment of the owner with the most bytes in tier `from`.
bool Impl::compress_some(Worker::State& worker, Tier from, uint64_t put_before_ms,
                         unsigned* blocks_done) {
  struct Candidate {
    std::shared_ptr<Owner> owner;
    Kind kind;
    uint64_t bytes;
  };
  std::vector<Candidate> candidates;
  for (const auto& owner : owners()) {
    if (!owner->compresses) continue;
    for (const Kind kind : kAllKinds) {
      const auto& of_kind = owner->of(kind);
      const uint64_t bytes =
          from == Tier::kRaw ? of_kind.raw_bytes.load() : of_kind.size_bytes.load();
      if (bytes != 0) candidates.push_back({owner, kind, bytes});
    }
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.bytes > b.bytes; });
  for (const Candidate& c : candidates) {
    Segment* segment = segments.take_from_tier(*c.owner, c.kind, from, put_before_ms);
    if (segment == nullptr && put_before_ms == kAnyAge) {
      segments.seal(*c.owner, c.kind, from, kAnyAge);
      segment = segments.take_from_tier(*c.owner, c.kind, from, put_before_ms);
    }
    if (segment == nullptr) continue;
    *blocks_done += segment->blocks;
    return compress_segment(worker, *segment, from == Tier::kRaw ? Tier::kLz4 : Tier::kZstd);
  }
  return false;
}

// ---- Cleaning ----

bool Impl::too_many_holes(uint32_t share) const {
  uint64_t size_bytes = 0;
  uint64_t holes_bytes = 0;
  for (const auto& owner : owners())
    for (const Kind kind : kAllKinds) {
      size_bytes += owner->of(kind).size_bytes;
      holes_bytes += owner->of(kind).holes_bytes();
    }
  return holes_bytes > size_bytes / share;
}

bool Impl::move_contents(Worker::State& worker, Segment& segment) {
  bool moved = true;
  const uint64_t now_ms = clock.now_ms();
  for (size_t i = 0; i < segment.contents.size() && moved; ++i) {
    moved = contents.relocate(segment.contents[i], segment, *segment.owner, segment.tier, now_ms);
    worker.pause_between_pages();
  }
  segments.put_back(segment, segment.tier);
  return moved;
}

// Copies the live rest of a sparse segment of the owner with the most holes, and frees it.
bool Impl::clean_some(Worker::State& worker, uint32_t dead_share, unsigned* blocks_done) {
  struct Candidate {
    uint64_t holes_bytes;
    std::shared_ptr<Owner> owner;
    Kind kind;
  };
  std::vector<Candidate> candidates;
  for (const auto& owner : owners())
    for (const Kind kind : kAllKinds)
      if (const uint64_t holes = owner->of(kind).holes_bytes(); holes != 0)
        candidates.push_back({holes, owner, kind});
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.holes_bytes > b.holes_bytes; });
  for (const Candidate& c : candidates) {
    Segment* segment = segments.take_sparse(*c.owner, c.kind, dead_share);
    if (segment == nullptr) continue;
    *blocks_done += segment->blocks;
    return move_contents(worker, *segment);
  }
  return false;
}

}  // namespace tmem::store
