// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/store/content.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "libtmem/base/assert.h"
#include "libtmem/base/mutation.h"
#include "tmemd/store/stream_copy.h"

namespace tmem::store {
namespace {

constexpr uint32_t kDomainMask = (1u << 20) - 1;
constexpr size_t kBucketsMin = 64;
constexpr uint64_t kLoadMax = 1;        // contents a bucket before a split
constexpr unsigned kCandidatesMax = 2;  // twins compared at most, against crafted tags
constexpr unsigned kTwinsMax = 32;      // equal contents listed at most: bounds a chain walk

uint32_t tag_of(const Fingerprint& f, uint32_t domain, Kind kind) {
  uint64_t mixed =
      f.low ^ ((uint64_t{domain} << 1 | static_cast<uint64_t>(kind)) * 0x9e3779b97f4a7c15);
  mixed = (mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93;
  if (TMEM_MUTATED(kDedupWithoutCompare)) return static_cast<uint32_t>(mixed >> 32) & 0xf00000ff;
  return static_cast<uint32_t>(mixed >> 32);
}

// Counters are unsigned and take signed steps; the sum never goes below zero.
template <class Counter>
void add(Counter& counter, int64_t step) {
  counter.fetch_add(static_cast<uint64_t>(step), std::memory_order_relaxed);
}

}  // namespace

ContentStore::ContentStore(BlockAllocator& blocks, ChunkAllocator& chunks, SegmentStore& segments,
                           Tables& tables)
    : blocks_(blocks), segments_(segments), tables_(tables) {
  const uint64_t records_max =
      std::min<uint64_t>(blocks.blocks_max() * kBlockBytes / sizeof(ContentRecord), kIndexMask - 1);
  for (Shard& shard : shards_) {
    shard.records = std::make_unique<RecordTable<ContentRecord>>(chunks, records_max);
    shard.buckets.assign(kBucketsMin, 0);
    blocks_.add_heap_bytes(static_cast<int64_t>(shard.buckets.capacity() * sizeof(Handle)));
  }
}

// ---- Dedup buckets: linear hashing, one bucket split or merged a step ----

size_t ContentStore::bucket_of(const Shard& shard, uint32_t tag) {
  const size_t mask = std::bit_ceil(shard.buckets.size()) - 1;
  const size_t bucket = tag & mask;
  return bucket < shard.buckets.size() ? bucket : bucket & (mask >> 1);
}

void ContentStore::grow(Shard& shard) {
  const size_t fresh = shard.buckets.size();
  if (fresh > kIndexMask / 2) return;
  const size_t split = fresh - std::bit_floor(fresh);
  if (fresh == shard.buckets.capacity()) {
    blocks_.add_heap_bytes(static_cast<int64_t>(fresh / 4 * sizeof(Handle)));
    shard.buckets.reserve(fresh + fresh / 4);
  }
  Handle chain = shard.buckets[split];
  shard.buckets[split] = 0;
  shard.buckets.push_back(0);
  while (chain != 0) {
    ContentRecord& r = record(chain);
    const Handle next = r.next_in_bucket;
    Handle& head = shard.buckets[bucket_of(shard, r.tag)];
    r.next_in_bucket = head;
    head = chain;
    chain = next;
  }
  // The next split's records are far away, and its turn comes with one of the next puts.
  const size_t next_split = shard.buckets.size() - std::bit_floor(shard.buckets.size());
  if (const Handle next = shard.buckets[next_split]; next != 0)
    __builtin_prefetch(&record(next), 1);
}

void ContentStore::shrink(Shard& shard) {
  const size_t last = shard.buckets.size() - 1;
  if (last < kBucketsMin) return;
  Handle* end = &shard.buckets[last - std::bit_floor(last)];
  while (*end != 0) end = &record(*end).next_in_bucket;
  *end = shard.buckets[last];
  shard.buckets.pop_back();
  if (shard.buckets.size() * 4 < shard.buckets.capacity()) {
    const size_t before = shard.buckets.capacity();
    shard.buckets.shrink_to_fit();
    blocks_.add_heap_bytes(static_cast<int64_t>(shard.buckets.capacity() * sizeof(Handle)) -
                           static_cast<int64_t>(before * sizeof(Handle)));
  }
}

void ContentStore::insert(Shard& shard, Handle h) {
  ContentRecord& r = record(h);
  Handle& head = shard.buckets[bucket_of(shard, r.tag)];
  r.next_in_bucket = head;
  r.listed = 1;
  head = h;
  if (++shard.listed > shard.buckets.size() * kLoadMax) grow(shard);
}

void ContentStore::remove(Shard& shard, Handle h) {
  ContentRecord& r = record(h);
  Handle* link = &shard.buckets[bucket_of(shard, r.tag)];
  while (*link != h) link = &record(*link).next_in_bucket;
  *link = r.next_in_bucket;
  r.listed = 0;
  if (--shard.listed * 2 < shard.buckets.size()) shrink(shard);
}

// ---- Charges ----

bool ContentStore::shows(const ContentRecord& r, const Client& client) {
  for (Handle p = r.first_sharer; p != 0; p = tables_.page(p).next_sharer)
    if (&tables_.client_of(p) == &client) return true;
  return false;
}

ContentStore::ClientList ContentStore::clients_of(const ContentRecord& r) {
  ClientList clients;
  for (Handle p = r.first_sharer; p != 0; p = tables_.page(p).next_sharer) {
    Client* client = &tables_.client_of(p);
    if (std::find(clients.begin(), clients.end(), client) == clients.end())
      clients.client[clients.count++] = client;
  }
  return clients;
}

void ContentStore::charge(const ContentRecord& r, Client& client, int64_t sign) {
  const auto step = sign * static_cast<int64_t>(r.location.length_bytes);
  add(client.usage.content_bytes[r.kind], step);
  const bool scoped = segments_.owner_of(r.location).client == nullptr;
  if (scoped && r.kind == static_cast<uint32_t>(Kind::kEphemeral))
    add(client.usage.scoped_bytes, step);
}

void ContentStore::count(Shard& shard, const ContentRecord& r, int64_t sign) {
  const auto step = static_cast<uint64_t>(sign * static_cast<int64_t>(r.location.length_bytes));
  shard.totals.pages[r.location.tier] += static_cast<uint64_t>(sign);
  shard.totals.bytes[r.location.tier] += step;
  shard.totals.stored_bytes[r.kind] += step;
}

ContentTotals ContentStore::totals() const {
  ContentTotals sum;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.lock);
    const ContentTotals& t = shard.totals;
    for (size_t i = 0; i < kTiers; ++i) {
      sum.pages[i] += t.pages[i];
      sum.bytes[i] += t.bytes[i];
    }
    for (size_t i = 0; i < kKinds; ++i) sum.stored_bytes[i] += t.stored_bytes[i];
    sum.contents += t.contents;
    sum.references += t.references;
    sum.compressed += t.compressed;
    sum.recompressed += t.recompressed;
    sum.incompressible += t.incompressible;
    sum.cleaned += t.cleaned;
  }
  return sum;
}

// ---- Pages come and go ----

ContentStore::Twins ContentStore::find_twins(Worker::State& worker, Shard& shard, uint32_t tag,
                                             const Request& request) {
  unsigned compared = 0;
  unsigned full = 0;
  for (Handle h = shard.buckets[bucket_of(shard, tag)]; h != 0; h = record(h).next_in_bucket) {
    const ContentRecord& r = record(h);
    if (r.tag != tag || r.domain != request.domain->number ||
        r.kind != static_cast<uint32_t>(request.kind))
      continue;
    if (r.sharers >= kSharersMax) {
      if (++full == kTwinsMax) return {0, true};
      continue;
    }
    if (TMEM_MUTATED(kDedupWithoutCompare)) return {h, false};
    if (++compared > kCandidatesMax) return {0, true};
    const std::byte* stored = segments_.address(r.location.offset_bytes);
    const auto tier = static_cast<Tier>(r.location.tier);
    if (tier != Tier::kRaw) {
      const bool ok = worker.expand(tier, stored, r.location.length_bytes, worker.page.data());
      TMEM_ASSERT(ok || TMEM_MUTATED(kCompressDropsTail));
      stored = worker.page.data();
    }
    if (std::memcmp(stored, request.bytes.data(), kPageBytes) == 0) return {h, false};
  }
  return {};
}

Handle ContentStore::make_content(Shard& shard, uint32_t tag, const Request& request) {
  const uint32_t index = shard.records->allocate(Purpose::kNormal);
  if (index == 0) return 0;
  const Handle h = make_handle(tag >> (32 - kShardBits), index);
  const auto offset = segments_.append(request.client.owner, {.kind = request.kind,
                                                              .tier = Tier::kRaw,
                                                              .length_bytes = uint32_t{kPageBytes},
                                                              .content = h,
                                                              .now_ms = request.now_ms,
                                                              .put_ms = request.now_ms,
                                                              .purpose = Purpose::kNormal});
  if (!offset) {
    shard.records->release(index);
    return 0;
  }
  TMEM_ASSERT(*offset % kPageBytes == 0);  // raw segments hold whole pages only
  stream_page(segments_.address(*offset), request.bytes.data());
  ContentRecord& r = record(h);
  r.tag = tag;
  r.kind = static_cast<uint32_t>(request.kind);
  r.location = Location{*offset, kPageBytes, static_cast<uint64_t>(Tier::kRaw), 0};
  count(shard, r, +1);
  ++shard.totals.contents;
  return h;
}

// A page of `request.client` begins to show content h.
void ContentStore::join(Handle h, const Request& request) {
  ContentRecord& r = record(h);
  const bool known = shows(r, request.client);
  const bool first = r.sharers == 0;
  if (!known && !first && segments_.owner_of(r.location).client != nullptr) {
    // The second client: to a segment of the scope. Without memory it stays where it is; when
    // that segment is dropped, it is moved or lost then.
    const auto tier = static_cast<Tier>(r.location.tier);
    (void)move(r, h,
               {*request.domain, tier, tier, segments_.address(r.location.offset_bytes),
                r.location.length_bytes, 0, request.now_ms, request.now_ms});
  }
  PageRecord& page = tables_.page(request.page);
  page.content = h;
  page.next_sharer = r.first_sharer;
  r.first_sharer = request.page;
  if (!(TMEM_MUTATED(kDedupForgetsReference) && !first)) ++r.sharers;
  if (!known) charge(r, request.client, +1);
  ++shards_[shard_of(h)].totals.references;
}

ContentStore::Linked ContentStore::link(Worker::State& worker, const Request& request) {
  const uint32_t domain = request.domain != nullptr ? request.domain->number : 0;
  const uint32_t tag = tag_of(request.fingerprint, domain, request.kind);
  Shard& shard = shards_[tag >> (32 - kShardBits)];
  const std::lock_guard lock(shard.lock);
  const Twins twins =
      request.domain != nullptr ? find_twins(worker, shard, tag, request) : Twins{0, true};
  Handle h = twins.found;
  if (h == 0) {
    h = make_content(shard, tag, request);
    if (h == 0) return Linked::kNoMemory;
    record(h).domain = domain & kDomainMask;
    if (!twins.crowded) insert(shard, h);
  }
  join(h, request);
  stream_fence();  // before the lock is released: make_content() copied past the caches
  return twins.found != 0 ? Linked::kDuplicate : Linked::kNew;
}

void ContentStore::unlink(Handle page_handle) {
  PageRecord& page = tables_.page(page_handle);
  const Handle h = page.content;
  Shard& shard = shards_[shard_of(h)];
  const std::lock_guard lock(shard.lock);
  ContentRecord& r = record(h);
  Client& client = tables_.client_of(page_handle);
  Handle* link = &r.first_sharer;
  while (*link != page_handle) link = &tables_.page(*link).next_sharer;
  *link = page.next_sharer;
  --r.sharers;
  --shard.totals.references;
  if (r.sharers == 0 || !shows(r, client)) charge(r, client, -1);
  if (r.sharers != 0) return;
  if (r.listed != 0) remove(shard, h);
  count(shard, r, -1);
  --shard.totals.contents;
  segments_.release(r.location);
  shard.records->release(h & kIndexMask);
}

void ContentStore::read(Worker::State& worker, Handle page_handle, PageBuffer out, bool hot) {
  const Handle h = tables_.page(page_handle).content;
  const std::lock_guard lock(shards_[shard_of(h)].lock);
  ContentRecord& r = record(h);
  if (hot && r.location.hot == 0) r.location.hot = 1;
  const std::byte* stored = segments_.address(r.location.offset_bytes);
  for (size_t line = 64; line < r.location.length_bytes; line += 64)
    __builtin_prefetch(stored + line);
  const bool ok = worker.expand(static_cast<Tier>(r.location.tier), stored, r.location.length_bytes,
                                out.data());
  TMEM_ASSERT(ok || TMEM_MUTATED(kCompressDropsTail));
}

void ContentStore::prefetch_bucket(const Fingerprint& fingerprint, const Owner* domain, Kind kind) {
  if (domain == nullptr) return;
  const uint32_t tag = tag_of(fingerprint, domain->number, kind);
  Shard& shard = shards_[tag >> (32 - kShardBits)];
  const std::lock_guard lock(shard.lock);
  __builtin_prefetch(&shard.buckets[bucket_of(shard, tag)]);
}

void ContentStore::prefetch_twin(const Fingerprint& fingerprint, const Owner* domain, Kind kind) {
  if (domain == nullptr) return;
  const uint32_t tag = tag_of(fingerprint, domain->number, kind);
  Shard& shard = shards_[tag >> (32 - kShardBits)];
  const std::lock_guard lock(shard.lock);
  if (const Handle h = shard.buckets[bucket_of(shard, tag)]; h != 0) __builtin_prefetch(&record(h));
}

uint64_t ContentStore::record_bytes() const {
  uint64_t sum = 0;
  for (const Shard& shard : shards_) sum += shard.records->bytes();
  return sum;
}

void ContentStore::for_each(const std::function<void(Handle, const ContentRecord&)>& visit) {
  for (uint32_t s = 0; s < kShards; ++s) {
    const RecordTable<ContentRecord>& records = *shards_[s].records;
    for (uint32_t i = 1; i < records.end(); ++i)
      if (records.exists(i) && records[i].location.length_bytes != 0)
        visit(make_handle(s, i), records[i]);
  }
}

}  // namespace tmem::store
