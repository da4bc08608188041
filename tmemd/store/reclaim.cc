// SPDX-License-Identifier: GPL-2.0-or-later
// What gives memory back: pages left by flushes and dead clients, compression, cleaning of holes,
// eviction. Works in units of a segment or of some dozens of pages, holding no lock in between.
#include <algorithm>

#include "libtmem/base/mutation.h"
#include "tmemd/store/impl.h"
#include "tmemd/store/scheduler.h"

namespace tmem::store {
namespace {

constexpr uint32_t kSlicePages = 64;  // freed under one hold of a shard's lock
// Cleaning starts when this part of all segments is holes, with segments of which at least this
// part is dead: while puts come, a copy must gain something; at rest, holes go.
struct Cleaning {
  uint32_t holes_share;
  uint32_t dead_share;
};
constexpr Cleaning kCleanBusy = {12, 6};
constexpr Cleaning kCleanIdle = {512, 64};
// After this time without puts, free blocks are given back; before, as many are kept as the
// nursery empties and fills again.
constexpr uint64_t kRestMs = 10'000;
constexpr uint64_t kAnyAge = ~uint64_t{0};
constexpr unsigned kEvictTries = 4;  // victims tried before the globally oldest

}  // namespace

std::vector<std::shared_ptr<Owner>> Impl::owners() const {
  std::vector<std::shared_ptr<Owner>> result;
  // Scopes live as long as the registry.
  for (Owner* scope : registry.scopes()) result.emplace_back(std::shared_ptr<void>(), scope);
  for (const ClientRef& c : registry.all()) result.emplace_back(c, &c->owner);
  return result;
}

// ---- Pages nobody can see any more ----

void Impl::add_flushed(ClientRef client, uint32_t pool) {
  const std::lock_guard lock(pending_mutex_);
  pending_.push_back({std::move(client), pool, pool, 0, false});
}

void Impl::add_removed(ClientRef client) {
  const std::lock_guard lock(pending_mutex_);
  pending_.push_back({std::move(client), 0, kPoolsMax - 1, 0, true});
}

// False when nothing stale is left from the cursor on.
bool Impl::reclaim_slice(Pending& pending, uint32_t limit) {
  for (; pending.pool <= pending.last_pool; ++pending.pool, pending.shard = 0) {
    Pool& pool = pending.client->pools[pending.pool];
    for (; pending.shard < kShards; ++pending.shard) {
      KeyShard& shard = *shards[pending.shard];
      const std::lock_guard lock(shard.lock);
      auto& objects = pool.objects[pending.shard];
      if (objects.empty()) continue;
      ObjectNode& object = objects.front();
      if (!object.detached && object.generation == pool.load().generation) continue;
      shard.remove_pages(object, limit, false);
      shard.forget_if_empty(object);
      return true;
    }
  }
  return false;
}

// The client's number is free again once it holds nothing. False while segments still hold
// contents that other clients show: those are moved to their scope.
bool Impl::finish_removal(Client& client) {
  for (const Kind kind : kAllKinds) {
    while (Segment* segment = segments.take_oldest(client.owner, kind)) {
      bool moved = true;
      for (const Handle h : segment->contents) {
        const auto domain = contents.foreign_domain(h, *segment);
        Owner* scope = domain ? registry.scope(*domain) : nullptr;
        if (scope != nullptr)
          moved &= contents.relocate(h, *segment, *scope, segment->tier, clock.now_ms());
      }
      segments.put_back(*segment, segment->tier);
      if (!moved) return false;
    }
    if (client.owner.of(kind).size_bytes != 0) return false;  // busy in another thread
  }
  registry.retire(client);
  return true;
}

bool Impl::reclaim_pending(uint32_t limit) {
  size_t waiting = 0;  // removed clients with segments busy in another thread: later
  while (true) {
    Pending pending;
    {
      const std::lock_guard lock(pending_mutex_);
      if (pending_.size() <= waiting) return false;
      pending = std::move(pending_.front());
      pending_.pop_front();
    }
    const bool freed = reclaim_slice(pending, limit);
    if (!freed && (!pending.removal || finish_removal(*pending.client))) continue;
    const std::lock_guard lock(pending_mutex_);
    if (freed) {
      pending_.push_front(std::move(pending));
      return true;
    }
    pending_.push_back(std::move(pending));
    ++waiting;
  }
}

// ---- Eviction ----

bool Impl::remove_sharer(const ContentStore::Sharer& sharer, Handle content, const Segment* segment,
                         const Client* client) {
  KeyShard& shard = *shards[shard_of(sharer.page)];
  const std::lock_guard lock(shard.lock);
  ObjectNode* object = shard.verify(sharer, content);
  if (object == nullptr || (object->kind != Kind::kEphemeral && !TMEM_MUTATED(kEvictsPersistent)))
    return false;
  if (client != nullptr && object->client != client) return false;
  if (segment != nullptr && !contents.is_in(content, *segment)) return false;
  Client& holder = *object->client;
  shard.remove_page(*object, sharer.index, sharer.page);
  shard.forget_if_empty(*object);
  holder.add(0, Counter::kEvictedPages, 1);
  evicted_pages.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// Drops what the busy segment holds; pages with a shared hit move to the young end once, contents
// that other clients show to their scope. Returns the pages dropped or moved.
uint64_t Impl::drop_segment(Worker::State&, Segment& segment) {
  uint64_t done = 0;
  const uint64_t now_ms = clock.now_ms();
  for (const Handle h : segment.contents) {
    if (contents.take_hot(h, segment)) {
      done += contents.rejuvenate(h, segment, now_ms) ? 1 : 0;
      continue;
    }
    if (segment.owner->client != nullptr) {
      const auto domain = contents.foreign_domain(h, segment);
      Owner* scope = domain ? registry.scope(*domain) : nullptr;
      while (scope != nullptr) {
        const auto own = contents.sharer(h, segment, segment.owner->client);
        if (!own || !remove_sharer(*own, h, &segment, segment.owner->client)) break;
        ++done;
      }
      if (scope != nullptr && contents.relocate(h, segment, *scope, segment.tier, now_ms)) continue;
    }
    for (unsigned tries = 0; tries < 2 * kSharersMax; ++tries) {
      const auto sharer = contents.sharer(h, segment, nullptr);
      if (!sharer) break;
      done += remove_sharer(*sharer, h, &segment, nullptr) ? 1 : 0;
    }
  }
  segments.put_back(segment, segment.tier);
  return done;
}

uint64_t Impl::drop_refs(Client& client, const Owner& scope, const std::vector<Handle>& handles) {
  uint64_t dropped = 0;
  for (const Handle h : handles) {
    for (unsigned tries = 0; tries < 2 * kSharersMax; ++tries) {
      const auto sharer = contents.sharer_in(h, scope, &client);
      if (!sharer) break;
      dropped += remove_sharer(*sharer, h, nullptr, &client) ? 1 : 0;
    }
  }
  return dropped;
}

// The client's pages in the next segment of a scope that has some, in order of age: after the last
// one it lost, and older than `older_than`. A pass over all segments without a page ends it.
uint64_t Impl::drop_scoped(Worker::State& worker, Client& client, uint64_t older_than) {
  for (Owner* scope : registry.scopes()) {
    for (const Tier tier : {Tier::kRaw, Tier::kLz4, Tier::kZstd})
      if (older_than == kAnyAge) segments.seal(*scope, Kind::kEphemeral, tier, kAnyAge);
    const std::lock_guard lock(client.mutex);
    EvictionRank& cursor = client.scope_cursor[scope];
    bool wrapped = cursor == EvictionRank{};
    while (true) {
      const auto next = segments.contents_after(*scope, Kind::kEphemeral, cursor, worker.contents);
      if (next && next->age <= older_than) {
        cursor = *next;
        if (const uint64_t dropped = drop_refs(client, *scope, worker.contents)) return dropped;
      } else if (!next && !wrapped) {
        wrapped = true;
        cursor = {};
      } else {
        break;
      }
    }
  }
  return 0;
}

// Same-filled pages lie in no segment: they go when a client has nothing else to lose.
uint64_t Impl::drop_same_filled(Client& client, uint32_t limit) {
  uint64_t dropped = 0;
  for (Pool& pool : client.pools) {
    const PoolState state = pool.load();
    if (!state.alive() || state.shared || state.kind != Kind::kEphemeral) continue;
    for (uint32_t s = 0; s < kShards && dropped < limit; ++s) {
      const std::lock_guard lock(shards[s]->lock);
      auto& objects = pool.objects[s];
      uint32_t looked = 0;
      for (auto it = objects.begin(); it != objects.end() && dropped < limit && looked < limit;) {
        ObjectNode& object = *it++;
        ++looked;
        dropped += shards[s]->remove_pages(object, limit, true);
        shards[s]->forget_if_empty(object);
      }
    }
  }
  client.add(0, Counter::kEvictedPages, dropped);
  evicted_pages.fetch_add(dropped, std::memory_order_relaxed);
  return dropped;
}

bool Impl::evict_from(Worker::State& worker, Client& client) {
  const uint64_t own_age = segments.oldest_age(client.owner, Kind::kEphemeral);
  if (client.usage.scoped_bytes != 0 && drop_scoped(worker, client, own_age) != 0) return true;
  if (own_age != kAnyAge) {
    if (Segment* segment = segments.take_oldest(client.owner, Kind::kEphemeral))
      if (drop_segment(worker, *segment) != 0) return true;
  }
  if (client.usage.scoped_bytes != 0 && drop_scoped(worker, client, kAnyAge) != 0) return true;
  return client.usage.pages[0] != 0 && drop_same_filled(client, kSlicePages) != 0;
}

bool Impl::evict_globally_oldest(Worker::State& worker) {
  std::shared_ptr<Owner> oldest;
  uint64_t age = kAnyAge;
  for (const auto& owner : owners()) {
    const uint64_t of_owner = segments.oldest_age(*owner, Kind::kEphemeral);
    if (of_owner < age) {
      age = of_owner;
      oldest = owner;
    }
  }
  if (oldest == nullptr) return false;
  Segment* segment = segments.take_oldest(*oldest, Kind::kEphemeral);
  return segment != nullptr && drop_segment(worker, *segment) != 0;
}

bool Impl::evict_some(Worker::State& worker) {
  const std::vector<ClientRef> clients = registry.live();
  std::vector<Holding> holdings;
  for (const ClientRef& c : clients)
    holdings.push_back({c.get(), c->charged_bytes(Kind::kEphemeral), c->weight});
  unsigned tries = 0;
  for (Client* victim : victims(holdings)) {
    if (evict_from(worker, *victim)) return true;
    if (++tries == kEvictTries) break;
  }
  if (evict_globally_oldest(worker)) return true;
  for (const ClientRef& c : clients)
    if (c->usage.pages[0] != 0 && evict_from(worker, *c)) return true;
  if (TMEM_MUTATED(kEvictsPersistent))
    for (const ClientRef& c : clients)
      if (Segment* s = segments.take_oldest(c->owner, Kind::kPersistent))
        if (drop_segment(worker, *s) != 0) return true;
  return false;
}

// ---- Compression ----

bool Impl::nursery_full() const {
  return segments.raw_bytes() > blocks.budget_bytes() / 100 * options.nursery_percent;
}

namespace {
// Raw pages lie in the order of the contents list.
void prefetch_page(const std::byte* segment_bytes, const Segment& segment, size_t i) {
  if ((i + 1) * kPageBytes > segment.used_bytes) return;
  for (size_t line = 0; line < kPageBytes; line += 64)
    __builtin_prefetch(segment_bytes + i * kPageBytes + line);
}
}  // namespace

bool Impl::compress_segment(Worker::State& worker, Segment& segment, Tier to) {
  const uint64_t now_ms = clock.now_ms();
  const std::byte* bytes = segments.address(segment.offset_bytes());
  bool room = true;
  for (size_t i = 0; i < segment.contents.size() && room; ++i) {
    if (to == Tier::kLz4) prefetch_page(bytes, segment, i + 1);
    room = contents.compress(worker, segment.contents[i], segment, to, now_ms);
  }
  if (!room) {
    segments.put_back(segment, segment.tier);
    return false;
  }
  // What is left does not compress. A segment that is nearly full stays as it is.
  const uint32_t left_bytes = segments.live_bytes(segment);
  if (left_bytes != 0 && left_bytes < segment.size_bytes() / 64 * 63)
    for (const Handle h : segment.contents)
      (void)contents.relocate(h, segment, *segment.owner, to, now_ms);
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

// Copies the live rest of a sparse segment of the owner with the most holes, and frees it.
bool Impl::clean_some(uint32_t dead_share, unsigned* blocks_done) {
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
    bool moved = true;
    const uint64_t now_ms = clock.now_ms();
    for (size_t i = 0; i < segment->contents.size() && moved; ++i)
      moved =
          contents.relocate(segment->contents[i], *segment, *segment->owner, segment->tier, now_ms);
    segments.put_back(*segment, segment->tier);
    return moved;
  }
  return false;
}

// ---- For a put ----

bool Impl::best_effort_fits() const {
  uint64_t promised_bytes = blocks.reserve_bytes() + kPageBytes + kRecordBytes;
  for (const ClientRef& c : registry.live())
    promised_bytes += std::max<uint64_t>(c->guarantee_bytes, c->charged_bytes(Kind::kPersistent));
  return promised_bytes <= blocks.budget_bytes();
}

bool Impl::make_room(Worker::State& worker) {
  unsigned blocks_done = 0;
  if (reclaim_pending(4 * kSlicePages)) return true;
  const uint64_t before = blocks.used_bytes();
  // Neither gains anything from incompressible pages.
  if (nursery_full() && compress_some(worker, Tier::kRaw, kAnyAge, &blocks_done) &&
      blocks.used_bytes() < before)
    return true;
  if (too_many_holes(kCleanBusy.holes_share) && clean_some(kCleanBusy.dead_share, &blocks_done) &&
      blocks.used_bytes() < before)
    return true;
  if (evict_some(worker)) return true;
  return compress_some(worker, Tier::kRaw, kAnyAge, &blocks_done) ||
         clean_some(kCleanIdle.dead_share, &blocks_done);
}

bool Impl::make_room_under_cap(Worker::State& worker, Client& client) {
  return reclaim_pending(4 * kSlicePages) || evict_from(worker, client);
}

// ---- Background ----

void Impl::seal_idle() {
  const uint64_t now_ms = clock.now_ms();
  if (now_ms < options.lz4_after_ms) return;
  for (const auto& owner : owners())
    for (const Kind kind : kAllKinds)
      for (const Tier tier : {Tier::kRaw, Tier::kLz4, Tier::kZstd})
        segments.seal(*owner, kind, tier, now_ms - options.lz4_after_ms);
}

void Impl::enforce_caps(Worker::State& worker) {
  for (const ClientRef& c : registry.live())
    while (c->pages() > c->cap_pages && evict_from(worker, *c)) {
    }
}

bool Impl::maintain_once(Worker::State& worker, bool idle, unsigned* blocks_done) {
  const uint64_t now_ms = clock.now_ms();
  if (reclaim_pending(kSlicePages)) {
    *blocks_done += 1;
    return true;
  }
  if (blocks.used_bytes() + blocks.reserve_bytes() > blocks.budget_bytes()) {
    *blocks_done += 16;
    if (make_room(worker)) return true;
  }
  if (nursery_full() && compress_some(worker, Tier::kRaw, kAnyAge, blocks_done)) return true;
  if (now_ms >= options.lz4_after_ms &&
      compress_some(worker, Tier::kRaw, now_ms - options.lz4_after_ms, blocks_done))
    return true;
  if (options.zstd && now_ms >= options.zstd_after_ms &&
      compress_some(worker, Tier::kLz4, now_ms - options.zstd_after_ms, blocks_done))
    return true;
  const Cleaning cleaning = idle ? kCleanIdle : kCleanBusy;
  return too_many_holes(cleaning.holes_share) && clean_some(cleaning.dead_share, blocks_done);
}

bool Impl::maintain(Worker::State& worker, unsigned slices) {
  seal_idle();
  enforce_caps(worker);
  const uint64_t allocated = blocks.allocations();
  const bool idle = allocations_seen_.exchange(allocated) == allocated;  // no puts since last time
  const uint64_t now_ms = clock.now_ms();
  if (!idle) active_ms_ = now_ms;
  unsigned blocks_done = 0;
  bool more = true;
  while (more && blocks_done < slices) more = maintain_once(worker, idle, &blocks_done);
  if (!more) seal_idle();
  const bool at_rest = now_ms - active_ms_ >= kRestMs;
  if (at_rest || blocks.held_bytes() > blocks.budget_bytes()) {
    (void)blocks.trim(/*keep_bytes=*/0);
  } else {
    (void)blocks.trim(blocks.used_bytes() / 100 * options.nursery_percent);
  }
  return more;
}

}  // namespace tmem::store
