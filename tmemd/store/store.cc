// SPDX-License-Identifier: GPL-2.0-or-later
// The operations of a client. Each resolves its pool, locks the key's shard and works there; a put
// that finds no memory lets go of all locks, has room made and tries again.
#include "tmemd/store/store.h"

#include <cstring>

#include "libtmem/base/assert.h"
#include "libtmem/base/mutation.h"
#include "tmemd/store/impl.h"

namespace tmem::store {
namespace {

// Rounds of making room that one put may cause. A round frees a segment, or some references to
// shared content, which frees nothing by itself.
constexpr unsigned kRoomTriesMax = 256;
// A flushed object of up to this many pages is freed at once, a larger one in slices.
constexpr uint32_t kFlushNowPages = 64;

uint32_t number_of(PoolId pool) {
  return static_cast<uint32_t>(pool);
}

}  // namespace

Impl::Impl(const Options& options_in, memory::SlotProvider& provider, const Clock& clock_in,
           uint64_t seed)
    : options(options_in),
      clock(clock_in),
      epoch(options_in.epoch != 0 ? options_in.epoch : seed * 0x9e3779b97f4a7c15 | 1),
      blocks(provider, options_in.budget_bytes, options_in.heap_bytes_max),
      chunks(blocks),
      segments(blocks),
      tables(blocks, chunks),
      contents(blocks, chunks, segments, tables),
      registry(tables, seed, epoch),
      fingerprint(seed) {
  for (uint32_t s = 0; s < kShards; ++s)
    shards[s] = std::make_unique<KeyShard>(s, blocks, tables, contents);
}

Impl::~Impl() {
  for (auto& shard : shards) shard->clear();
  for (const ClientRef& client : registry.all()) {
    for (Pool& pool : client->pools)
      for (auto& objects : pool.objects)
        objects.clear_and_dispose(std::default_delete<ObjectNode>());
  }
  for (const auto& owner : owners()) owner->clear();
}

void Impl::count(Worker::State& worker, Client& client, Counter which, uint64_t n) {
  if (worker.counter_line == Worker::State::kNoLine)
    worker.counter_line = next_counter_line++ % Client::kCounterLines;
  client.add(worker.counter_line, which, n);
}

std::optional<Impl::Target> Impl::resolve(const Client& client, PoolId pool) const {
  const Pool& p = client.pools[number_of(pool)];
  const PoolState state = p.load();
  if (!state.alive()) return std::nullopt;
  Client* home = p.home.load(std::memory_order_acquire);
  if (!state.shared) return Target{*home, number_of(pool), state, false};
  const PoolState of_home = home->pools[0].load();
  if (!of_home.alive()) return std::nullopt;
  return Target{*home, 0, of_home, true};
}

namespace {

// One put on its way: what is known of the page before the shard is locked.
struct Put {
  Worker::State& worker;
  Client& client;
  const Key& key;
  PageBytes page;
  std::optional<uint64_t> fill;
  Fingerprint fingerprint;
  Owner* domain;  // of dedup; null: none
  uint64_t now_ms;
  Payment payment;
};

enum class Attempt { kDone, kNeedsMemory, kNeedsCap, kFrozen, kNoPool };

// Makes the page's record show its bytes. Returns how, for the client's counters; nothing without
// memory.
std::optional<Counter> fill_record(Impl& impl, const Put& put, const Impl::Target& t, Handle page) {
  PageRecord& record = impl.tables.page(page);
  if (put.fill) {
    record.fill_low = static_cast<uint32_t>(*put.fill);
    record.fill_high =
        TMEM_MUTATED(kSameFilledTruncated) ? 0 : static_cast<uint32_t>(*put.fill >> 32);
    record.state = static_cast<uint32_t>(PageState::kSameFilled);
    return Counter::kPutsSameFilled;
  }
  record.state = static_cast<uint32_t>(PageState::kContent);
  const auto linked = impl.contents.link(
      put.worker, {page, t.home, put.domain, t.state.kind, put.page, put.fingerprint, put.now_ms});
  if (linked == ContentStore::Linked::kNoMemory) return std::nullopt;
  return linked == ContentStore::Linked::kDuplicate ? Counter::kPutsDuplicate : Counter::kPutsOk;
}

// Stores a new record for the key, in place of `old` if there is one. All or nothing.
bool store_page(Impl& impl, const Put& put, const Impl::Target& t, KeyShard& shard,
                ObjectNode& object, Handle old) {
  const uint32_t sequence = old != 0 ? impl.tables.page(old).sequence + 1 : 0;
  const Handle page = shard.make_record(object, put.key.index, sequence);
  if (page == 0) return false;
  const auto how = fill_record(impl, put, t, page);
  if (!how) {
    shard.free_record(page);
    return false;
  }
  if (!shard.set_page(object, put.key.index, page)) {
    shard.drop_page(page);
    return false;
  }
  if (*how != Counter::kPutsOk) impl.count(put.worker, put.client, *how);
  if (old != 0) {
    if (TMEM_MUTATED(kOverwriteKeepsOld)) {
      (void)shard.set_page(object, put.key.index, old);
      old = page;
    }
    shard.drop_page(old);
    impl.count(put.worker, put.client, Counter::kPutsReplaced);
    return true;
  }
  return true;
}

Attempt try_put(Impl& impl, const Put& put, const Impl::Target& t) {
  const ObjectKey object_key = impl.object_key(t, put.key.object);
  KeyShard& shard = *impl.shards[shard_of(object_key)];
  const std::lock_guard lock(shard.lock);
  if (!Impl::is_current(t)) return Attempt::kNoPool;
  ObjectNode* object = shard.find_object(object_key);
  const Handle old = object != nullptr ? shard.find_page(*object, put.key.index) : 0;
  if (!put.fill) impl.contents.prefetch_twin(put.fingerprint, put.domain, t.state.kind);
  if (old == 0) {
    if (impl.refuses_new_pages) return Attempt::kFrozen;
    if (put.client.frozen && put.payment == Payment::kNone && !TMEM_MUTATED(kFrozenAcceptsNew))
      return Attempt::kFrozen;
    if (!t.home.acquire_page(t.state.kind, put.payment, TMEM_MUTATED(kCapOffByOne) ? 1 : 0))
      return Attempt::kNeedsCap;
  }
  if (object == nullptr) object = shard.make_object(object_key, t.state.kind);
  const bool stored = object != nullptr && store_page(impl, put, t, shard, *object, old);
  if (stored) return Attempt::kDone;
  if (old == 0) t.home.release_page(t.state.kind);
  if (object != nullptr) shard.forget_if_empty(*object);
  return Attempt::kNeedsMemory;
}

// A refused put leaves the key empty: old bytes must not outlive newer ones.
void remove_old(Impl& impl, const Put& put, const Impl::Target& t) {
  if (TMEM_MUTATED(kKeepOldAfterFailedPut)) return;
  const ObjectKey object_key = impl.object_key(t, put.key.object);
  KeyShard& shard = *impl.shards[shard_of(object_key)];
  const std::lock_guard lock(shard.lock);
  ObjectNode* object = shard.find_object(object_key);
  if (object == nullptr) return;
  if (const Handle old = shard.find_page(*object, put.key.index); old != 0)
    shard.remove_page(*object, put.key.index, old);
  shard.forget_if_empty(*object);
}

// Within its guarantee, or paid with a credit, a persistent put may have all memory that eviction
// can give; beyond, what nobody else is promised.
bool may_have_memory(Impl& impl, const Put& put, const Impl::Target& t) {
  if (t.state.kind == Kind::kEphemeral || put.payment == Payment::kCredit) return true;
  const uint64_t charged = t.home.charged_bytes(Kind::kPersistent);
  return charged + kRawPageBytes <= t.home.guarantee_bytes || impl.best_effort_fits();
}

}  // namespace

Status Store::put(Worker& worker, Client& client, const Key& key, PageBytes page, Payment payment) {
  if (payment == Payment::kNone) return impl_->put(worker, client, key, page, payment);
  // The credit's room stays kept until its page has taken it.
  const auto target = impl_->resolve(client, key.pool);
  const Status status = target && target->state.kind == Kind::kEphemeral
                            ? Status::kBadRequest
                            : impl_->put(worker, client, key, page, payment);
  release_credits(client, 1);
  return status;
}

Status Impl::put(Worker& worker, Client& client, const Key& key, PageBytes page, Payment payment) {
  Impl& impl = *this;
  Put put{worker.state(),      client, key, page, same_filled_value(page), {}, nullptr,
          impl.clock.now_ms(), payment};
  const auto target = impl.resolve(client, key.pool);
  if (!target) {
    impl.count(put.worker, client, Counter::kPuts);
    return Status::kNoSuchPool;
  }
  impl.sweep_some(target->home.pools[target->pool]);
  if (!put.fill) {
    put.fingerprint = impl.fingerprint(page);
    put.domain = target->home.dedup_owner.load(std::memory_order_acquire);
    impl.contents.prefetch_bucket(put.fingerprint, put.domain, target->state.kind);
  }
  if (may_have_memory(impl, put, *target)) {
    for (unsigned tries = 0; tries < kRoomTriesMax; ++tries) {
      const Attempt attempt = try_put(impl, put, *target);
      if (attempt == Attempt::kDone) {
        const bool persistent = target->state.kind == Kind::kPersistent;
        impl.count(put.worker, client, persistent ? Counter::kPersistentPuts : Counter::kPutsOk);
        return Status::kOk;
      }
      if (attempt == Attempt::kNoPool) {
        impl.count(put.worker, client, Counter::kPuts);
        return Status::kNoSuchPool;
      }
      if (attempt == Attempt::kFrozen) {
        impl.count(put.worker, client, Counter::kPutsFrozen);
        return Status::kFrozen;
      }
      const bool room = attempt == Attempt::kNeedsCap
                            ? impl.make_room_under_cap(put.worker, target->home)
                            : impl.make_room(put.worker);
      if (!room) break;
    }
  }
  remove_old(impl, put, *target);
  impl.count(put.worker, client, Counter::kPutsNoSpace);
  return Status::kNoSpace;
}

Status Store::get(Worker& worker, Client& client, const Key& key, PageBuffer out) {
  Impl& impl = *impl_;
  const auto target = impl.resolve(client, key.pool);
  if (!target) {
    impl.count(worker.state(), client, Counter::kGets);
    return Status::kNoSuchPool;
  }
  const ObjectKey object_key = impl.object_key(*target, key.object);
  KeyShard& shard = *impl.shards[shard_of(object_key)];
  const std::lock_guard lock(shard.lock);
  if (!Impl::is_current(*target)) return Status::kNoSuchPool;
  ObjectNode* object = shard.find_object(object_key);
  const Handle page = object != nullptr ? shard.find_page(*object, key.index) : 0;
  const bool persistent = target->state.kind == Kind::kPersistent;
  if (page == 0) {
    impl.count(worker.state(), client, persistent ? Counter::kGets : Counter::kEphemeralMisses);
    return Status::kMiss;
  }
  const PageRecord& record = impl.tables.page(page);
  if (record.state == static_cast<uint32_t>(PageState::kSameFilled))
    fill_page(out, uint64_t{record.fill_high} << 32 | record.fill_low);
  else
    impl.contents.read(worker.state(), page, out, target->shared);
  impl.count(worker.state(), client, persistent ? Counter::kPersistentHits : Counter::kHits);
  const bool exclusive = persistent ? TMEM_MUTATED(kPersistentGetExclusive)
                                    : !TMEM_MUTATED(kNonExclusiveGet) &&
                                          (!target->shared || TMEM_MUTATED(kSharedGetExclusive));
  if (exclusive) {
    shard.remove_page(*object, key.index, page);
    shard.forget_if_empty(*object);
  }
  return Status::kOk;
}

Status Store::flush_page(Worker& worker, Client& client, const Key& key) {
  Impl& impl = *impl_;
  impl.count(worker.state(), client, Counter::kFlushes);
  const auto target = impl.resolve(client, key.pool);
  if (!target) return Status::kNoSuchPool;
  const ObjectKey object_key = impl.object_key(*target, key.object);
  KeyShard& shard = *impl.shards[shard_of(object_key)];
  const std::lock_guard lock(shard.lock);
  if (!Impl::is_current(*target)) return Status::kNoSuchPool;
  ObjectNode* object = shard.find_object(object_key);
  const Handle page = object != nullptr ? shard.find_page(*object, key.index) : 0;
  if (page == 0) return Status::kMiss;
  if (TMEM_MUTATED(kSkipFlushPage)) return Status::kOk;
  shard.remove_page(*object, key.index, page);
  shard.forget_if_empty(*object);
  impl.count(worker.state(), client, Counter::kFlushesFound);
  return Status::kOk;
}

Status Store::flush_object(Client& client, PoolId pool, const ObjectId& id) {
  Impl& impl = *impl_;
  client.add(0, Counter::kFlushes, 1);
  const auto target = impl.resolve(client, pool);
  if (!target) return Status::kNoSuchPool;
  const ObjectKey object_key = impl.object_key(*target, id);
  {
    KeyShard& shard = *impl.shards[shard_of(object_key)];
    const std::lock_guard lock(shard.lock);
    if (!Impl::is_current(*target)) return Status::kNoSuchPool;
    ObjectNode* object = shard.find_object(object_key);
    if (object == nullptr) return Status::kMiss;
    if (TMEM_MUTATED(kSkipFlushObject)) return Status::kOk;
    if (object->pages <= kFlushNowPages) {
      while (object->pages != 0) (void)shard.remove_pages(*object, kFlushNowPages, false);
      shard.forget_if_empty(*object);
      client.add(0, Counter::kFlushesFound, 1);
      return Status::kOk;
    }
    shard.detach(*object);
  }
  impl.add_flushed(target->home.shared_from_this(), target->pool);
  client.add(0, Counter::kFlushesFound, 1);
  return Status::kOk;
}

void Store::prefetch(const Client& client, const Key& key) const {
  const auto target = impl_->resolve(client, key.pool);
  if (target) __builtin_prefetch(&*impl_->shards[shard_of(impl_->object_key(*target, key.object))]);
}

}  // namespace tmem::store
