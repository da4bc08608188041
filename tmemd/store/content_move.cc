// SPDX-License-Identifier: GPL-2.0-or-later
// Contents change place: compressed, moved out of a segment that goes, looked up by eviction.
#include <cstring>

#include "libtmem/base/mutation.h"
#include "tmemd/store/content.h"

namespace tmem::store {
namespace {

constexpr uint64_t kLengthMask = (1u << 13) - 1;
constexpr unsigned kGainPercent = 95;  // zstd must save 5 % of the LZ4 blob

}  // namespace

// Segments list contents that may have died or moved since.
ContentRecord* ContentStore::record_if(Handle h, const Segment& segment) {
  if (!shards_[shard_of(h)].records->exists(h & kIndexMask)) return nullptr;
  ContentRecord& r = record(h);
  return segment.holds(r.location) ? &r : nullptr;
}

// Copies stored bytes to a new place and points the record there. The caller holds the shard.
bool ContentStore::move(ContentRecord& r, Handle h, const Move& how) {
  const auto kind = static_cast<Kind>(r.kind);
  const auto offset =
      segments_.append(how.to, {.kind = kind,
                                .tier = how.segment_tier,
                                .length_bytes = static_cast<uint32_t>(how.length_bytes),

                                .content = h,
                                .now_ms = how.now_ms,
                                .put_ms = how.put_ms,
                                .purpose = Purpose::kReserve,
                                .age = how.age});
  if (!offset) return false;
  std::memcpy(segments_.address(*offset), how.bytes, how.length_bytes);
  for (Client* client : clients_of(r)) charge(r, *client, -1);
  count(shards_[shard_of(h)], r, -1);
  const Location old = r.location;
  Location fresh = old;
  fresh.offset_bytes = *offset - (TMEM_MUTATED(kMoveOffByOne) ? 1 : 0);
  fresh.length_bytes = how.length_bytes & kLengthMask;
  fresh.tier = static_cast<uint64_t>(how.tier) & 3;
  r.location = fresh;
  count(shards_[shard_of(h)], r, +1);
  for (Client* client : clients_of(r)) charge(r, *client, +1);
  segments_.release(old);
  return true;
}

bool ContentStore::relocate_aged(Handle h, const Segment& segment, Owner& to, Tier tier,
                                 uint64_t age, uint64_t now_ms) {
  const std::lock_guard lock(shards_[shard_of(h)].lock);
  ContentRecord* r = record_if(h, segment);
  if (r == nullptr) return true;
  const std::byte* bytes =
      segments_.address(TMEM_MUTATED(kCleanerDropsLive) ? segment.offset_bytes()
                                                        : uint64_t{r->location.offset_bytes});
  ++shards_[shard_of(h)].totals.cleaned;
  return move(*r, h,
              {to, tier, static_cast<Tier>(r->location.tier), bytes, r->location.length_bytes, age,
               now_ms, segment.mean_put_ms()});
}

bool ContentStore::relocate(Handle h, const Segment& segment, Owner& to, Tier tier,
                            uint64_t now_ms) {
  return relocate_aged(h, segment, to, tier, segment.age, now_ms);
}

bool ContentStore::rejuvenate(Handle h, const Segment& segment, uint64_t now_ms) {
  return relocate_aged(h, segment, *segment.owner, segment.tier, SegmentStore::kYoungest, now_ms);
}

bool ContentStore::compress(Worker::State& worker, Handle h, const Segment& segment, Tier to,
                            uint64_t now_ms) {
  Shard& shard = shards_[shard_of(h)];
  Location seen{};
  {
    const std::lock_guard lock(shard.lock);
    const ContentRecord* r = record_if(h, segment);
    if (r == nullptr) return true;
    seen = r->location;
  }
  // The segment is busy, so its memory stays; bytes of a live content never change in place.
  const std::byte* stored = segments_.address(seen.offset_bytes);
  const auto tier = static_cast<Tier>(seen.tier);
  size_t size = 0;
  if (to == Tier::kLz4 && tier == Tier::kRaw) {
    size = worker.compress_lz4(stored);
  } else if (to == Tier::kZstd && tier == Tier::kLz4) {
    if (worker.expand(tier, stored, seen.length_bytes, worker.page.data()))
      size = worker.compress_zstd(worker.page.data());
    if (size * 100 > seen.length_bytes * kGainPercent) size = 0;
  }
  const std::lock_guard lock(shard.lock);
  if (size == 0) {
    if (to == Tier::kLz4 && tier == Tier::kRaw) ++shard.totals.incompressible;
    return true;
  }
  ContentRecord* r = record_if(h, segment);
  if (r == nullptr || !r->location.same_place(seen)) return true;
  if (!move(*r, h,
            {*segment.owner, to, to, worker.blob.data(), size, segment.age, now_ms,
             segment.mean_put_ms()}))
    return false;
  ++(to == Tier::kLz4 ? shard.totals.compressed : shard.totals.recompressed);
  return true;
}

// ---- Eviction's questions ----

std::optional<ContentStore::Sharer> ContentStore::sharer_of(const ContentRecord& r,
                                                            const Client* client) {
  for (Handle p = r.first_sharer; p != 0; p = tables_.page(p).next_sharer)
    if (client == nullptr || &tables_.client_of(p) == client)
      return Sharer{p, tables_.object_of(p), tables_.page(p).index};
  return std::nullopt;
}

std::optional<ContentStore::Sharer> ContentStore::sharer(Handle h, const Segment& segment,
                                                         const Client* client) {
  const std::lock_guard lock(shards_[shard_of(h)].lock);
  const ContentRecord* r = record_if(h, segment);
  return r != nullptr ? sharer_of(*r, client) : std::nullopt;
}

std::optional<ContentStore::Sharer> ContentStore::sharer_in(Handle h, const Owner& owner,
                                                            const Client* client) {
  const std::lock_guard lock(shards_[shard_of(h)].lock);
  if (!shards_[shard_of(h)].records->exists(h & kIndexMask)) return std::nullopt;
  const ContentRecord& r = record(h);
  if (r.location.length_bytes == 0 || &segments_.owner_of(r.location) != &owner)
    return std::nullopt;
  return sharer_of(r, client);
}

bool ContentStore::is_in(Handle h, const Segment& segment) {
  const std::lock_guard lock(shards_[shard_of(h)].lock);
  return record_if(h, segment) != nullptr;
}

bool ContentStore::take_hot(Handle h, const Segment& segment) {
  const std::lock_guard lock(shards_[shard_of(h)].lock);
  ContentRecord* r = record_if(h, segment);
  if (r == nullptr || r->location.hot == 0) return false;
  r->location.hot = 0;
  return true;
}

std::optional<uint32_t> ContentStore::foreign_domain(Handle h, const Segment& segment) {
  const std::lock_guard lock(shards_[shard_of(h)].lock);
  const ContentRecord* r = record_if(h, segment);
  if (r == nullptr) return std::nullopt;
  bool foreign = false;
  for (const Client* c : clients_of(*r)) foreign |= c != segment.owner->client;
  if (!foreign) return std::nullopt;
  return r->domain;
}

}  // namespace tmem::store
