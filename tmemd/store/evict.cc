// SPDX-License-Identifier: GPL-2.0-or-later
// Eviction: drops the oldest ephemeral segment of the client that the scheduler names; where the
// heap is short, the oldest objects of the client with the largest index.
#include <algorithm>

#include "libtmem/base/mutation.h"
#include "tmemd/store/impl.h"
#include "tmemd/store/scheduler.h"

namespace tmem::store {
namespace {

constexpr unsigned kEvictTries = 4;  // victims, or segments of one, before another way is tried

}  // namespace

bool Impl::remove_sharer(const ContentStore::Sharer& sharer, Handle content, const Segment* segment,
                         const Client* client) {
  KeyShard& shard = *shards[shard_of(sharer.page)];
  const std::lock_guard lock(shard.lock);
  ObjectNode* object = shard.verify(sharer, content);
  if (object == nullptr || (object->kind != Kind::kEphemeral && !TMEM_MUTATED(kEvictsPersistent)))
    return false;
  if (client != nullptr && object->client != client) return false;
  if (segment != nullptr && !contents.is_in(content, *segment)) return false;
  shard.remove_page(*object, sharer.index, sharer.page);
  count_evicted(*object, 1);
  shard.forget_if_empty(*object);
  return true;
}

void Impl::count_evicted(const ObjectNode& object, uint64_t pages) {
  if (object.is_stale()) return;
  object.client->add(0, Counter::kEvictedPages, pages);
  evicted_pages.fetch_add(pages, std::memory_order_relaxed);
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
        if (object.kind != Kind::kEphemeral) continue;  // the pool was made anew
        const uint32_t removed = shards[s]->remove_pages(object, limit, true);
        count_evicted(object, removed);
        dropped += removed;
        shards[s]->forget_if_empty(object);
      }
    }
  }
  return dropped;
}

// Of the oldest objects, in one shard after the other.
uint64_t Impl::drop_objects(Client& client, uint32_t limit) {
  uint32_t dropped = 0;
  for (Pool& pool : client.pools) {
    const PoolState state = pool.load();
    if (!state.alive() || state.shared || state.kind != Kind::kEphemeral) continue;
    for (uint32_t looked = 0; looked < kShards && dropped < limit; ++looked) {
      const uint32_t s = heap_shard_++ % kShards;
      const std::lock_guard lock(shards[s]->lock);
      auto& objects = pool.objects[s];
      while (dropped < limit && !objects.empty() && objects.front().kind == Kind::kEphemeral) {
        ObjectNode& object = objects.front();
        const uint32_t removed = shards[s]->remove_pages(object, limit - dropped, false);
        count_evicted(object, removed);
        dropped += removed;
        shards[s]->forget_if_empty(object);
      }
    }
  }
  return dropped;
}

bool Impl::evict_objects() {
  const std::vector<ClientRef> clients = registry.live();
  std::vector<Holding> holdings;
  for (const ClientRef& c : clients)
    holdings.push_back({c.get(), c->usage.heap_bytes[0], c->weight});
  const auto drop = [this](Client& c) { return drop_objects(c, kSlicePages) != 0; };
  for (Client* victim : victims(holdings))
    if (drop(*victim)) return true;
  return std::ranges::any_of(clients, [&drop](const ClientRef& c) { return drop(*c); });
}

bool Impl::evict_from(Worker::State& worker, Client& client) {
  const uint64_t own_age = segments.oldest_age(client.owner, Kind::kEphemeral);
  if (client.usage.scoped_bytes != 0 && drop_scoped(worker, client, own_age) != 0) return true;
  if (own_age != kAnyAge) {
    // One that lost its last page meanwhile frees nothing: take the next.
    for (unsigned tries = 0; tries < kEvictTries; ++tries) {
      Segment* segment = segments.take_oldest(client.owner, Kind::kEphemeral);
      if (segment == nullptr) break;
      if (drop_segment(worker, *segment) != 0) return true;
    }
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

}  // namespace tmem::store
