// SPDX-License-Identifier: GPL-2.0-or-later
// What gives memory back, and when: pages left by flushes and dead clients; for a put that finds no
// memory; in the background. Eviction itself is in evict.cc, compressing and cleaning in
// compact.cc. Works in units of a segment or of some dozens of pages, holding no lock in between.
#include <algorithm>
#include <limits>
#include <utility>

#include "tmemd/store/impl.h"

namespace tmem::store {
namespace {

// After this time without puts, free blocks are given back; before, as many are kept as the
// nursery empties and fills again.
constexpr uint64_t kRestMs = 10'000;
// Slots given back in one call: some milliseconds each where the provider has to clear them.
constexpr uint32_t kTrimSlotsMax = 16;
// What a page costs in the heap where objects hold many: its part of a leaf, of the hash sets and
// of its segment's list.
constexpr int64_t kHeapPageBytes = 32;
constexpr int64_t kSlotBytes = memory::kSlotBytes;

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
  client->pools[pool].unswept_shards.store(kShards, std::memory_order_release);
  const std::lock_guard lock(pending_mutex_);
  if (std::exchange(client->pools[pool].flush_queued, true)) return;
  pending_.push_back(
      {.client = std::move(client), .pool = pool, .last_pool = pool, .is_new = true});
}

void Impl::add_removed(ClientRef client) {
  const std::lock_guard lock(pending_mutex_);
  pending_.push_back({.client = std::move(client), .last_pool = kPoolsMax - 1, .removal = true});
}

// Frees stale pages of one object in a shard; false when there is none.
bool Impl::reclaim_from(Pool& pool, uint32_t shard, uint32_t limit) {
  KeyShard& s = *shards[shard];
  const std::lock_guard lock(s.lock);
  auto& objects = pool.objects[shard];
  if (objects.empty() || !objects.front().is_stale()) return false;
  s.remove_pages(objects.front(), limit, false);
  s.forget_if_empty(objects.front());
  return true;
}

// The same in the first shard from `next_shard` on that has some.
bool Impl::reclaim_from_next(Pool& pool, uint32_t& next_shard, uint32_t limit) {
  for (uint32_t looked = 0; looked < kShards; ++looked)
    if (reclaim_from(pool, std::exchange(next_shard, (next_shard + 1) % kShards), limit))
      return true;
  return false;
}

void Impl::sweep_some(Pool& pool) {
  for (uint32_t looked = 0; looked < kShards; ++looked) {
    uint32_t unswept = pool.unswept_shards.load(std::memory_order_acquire);
    if (unswept == 0 || reclaim_from(pool, unswept - 1, kPagesPerPut)) return;
    // Fails as a rule when a flush meanwhile wants all shards to be looked through anew; if not,
    // what it left in this one is the background's.
    (void)pool.unswept_shards.compare_exchange_strong(unswept, unswept - 1);
  }
}

// False when nothing stale is left from the cursor on. Each slice is of another shard: whoever
// waits for a shard's lock gets it before the next slice there.
bool Impl::reclaim_slice(Pending& pending, uint32_t limit) {
  for (; pending.pool <= pending.last_pool; ++pending.pool)
    if (reclaim_from_next(pending.client->pools[pending.pool], pending.shard, limit)) return true;
  return false;
}

// The client's number is free again once it holds nothing. False while segments still hold
// contents that other clients show: those are moved to their scope.
bool Impl::finish_removal(Worker::State& worker, Client& client) {
  for (const Kind kind : kAllKinds) {
    while (Segment* segment = segments.take_oldest(client.owner, kind)) {
      bool moved = true;
      for (const Handle h : segment->contents) {
        worker.pause_between_pages();
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

// A flush from here on is queued anew, as it may leave pages behind the cursor.
std::optional<Impl::Pending> Impl::take_pending() {
  const std::lock_guard lock(pending_mutex_);
  if (pending_.empty()) return std::nullopt;
  Pending pending = std::move(pending_.front());
  pending_.pop_front();
  if (std::exchange(pending.is_new, false))
    pending.client->pools[pending.pool].flush_queued = false;
  return pending;
}

// Looks at each entry once, however many guests add meanwhile.
bool Impl::reclaim_pending(Worker::State& worker, uint32_t limit) {
  for (size_t left = pending_count(); left > 0; --left) {
    auto pending = take_pending();
    if (!pending) return false;
    const bool freed = reclaim_slice(*pending, limit);
    if (!freed && (!pending->removal || finish_removal(worker, *pending->client))) continue;
    const std::lock_guard lock(pending_mutex_);
    if (freed) {
      pending_.push_front(*std::move(pending));
      return true;
    }
    // A removed client with segments busy in another thread: later.
    pending_.push_back(*std::move(pending));
  }
  return false;
}

// ---- For a put ----

// Bounded twice. By what clients are charged: two that share contents may both come to need them
// alone. And by blocks: metadata and half-filled segments take more than is charged.
Impl::Promises Impl::promises(Holes holes) const {
  Promises sum{};
  const auto holes_of = [holes](const Owner& owner) {
    return holes == Holes::kClosed ? owner.of(Kind::kPersistent).holes_bytes() : 0;
  };
  for (const ClientRef& c : registry.live()) {
    const uint64_t all_charged = c->charged_bytes(Kind::kPersistent);
    const uint64_t charged = all_charged - std::min(all_charged, holes_of(c->owner));
    const uint64_t promised = std::max<uint64_t>(c->guarantee_bytes, charged);
    const uint64_t heap_bytes = c->usage.heap_bytes[static_cast<size_t>(Kind::kPersistent)];
    sum.charged_bytes += promised - std::min(promised, heap_bytes);
    sum.expected_bytes += promised - charged + c->usage.credits * kRawPageBytes + kBlockBytes;
  }
  uint64_t goes_bytes = 0;  // when pages are evicted, and segments packed
  for (const auto& owner : owners())
    goes_bytes += owner->of(Kind::kEphemeral).size_bytes + holes_of(*owner);
  const uint64_t used = blocks.used_block_bytes();
  sum.kept_block_bytes = used > goes_bytes ? used - goes_bytes : 0;
  return sum;
}

int64_t Impl::unpromised_arena_bytes(uint64_t room_bytes, Holes holes) const {
  const uint64_t promised_bytes = BlockAllocator::reserve_bytes(room_bytes) +
                                  promises(holes).block_bytes() + blocks.heap_bytes();
  return static_cast<int64_t>(room_bytes) - static_cast<int64_t>(promised_bytes);
}

// Pages whose index the heap can take beside what persistent pages have and are promised; a part is
// left to ephemeral ones.
int64_t Impl::unpromised_heap_pages() const {
  if (blocks.heap_bytes_max() == kNoHeapMax) return std::numeric_limits<int32_t>::max();
  const uint64_t max_bytes = blocks.heap_bytes_max() - blocks.heap_bytes_max() / 16;
  uint64_t evictable_bytes = 0;
  for (const ClientRef& c : registry.all()) evictable_bytes += c->usage.heap_bytes[0];
  const uint64_t heap_bytes = blocks.heap_bytes();
  const auto free_bytes = static_cast<int64_t>(max_bytes) -
                          static_cast<int64_t>(heap_bytes - std::min(heap_bytes, evictable_bytes));
  const uint64_t expected_pages = promises(Holes::kOpen).expected_bytes / kRawPageBytes;
  return free_bytes / kHeapPageBytes - static_cast<int64_t>(expected_pages);
}

int64_t Impl::unpromised_bytes(uint64_t room_bytes) const {
  return std::min(unpromised_arena_bytes(room_bytes, Holes::kOpen),
                  unpromised_heap_pages() * static_cast<int64_t>(kRawPageBytes));
}

uint64_t Impl::best_effort_bytes(uint64_t room_bytes) const {
  if (unpromised_heap_pages() <= 0) return 0;
  return static_cast<uint64_t>(
      std::max<int64_t>(unpromised_arena_bytes(room_bytes, Holes::kClosed), 0));
}

uint32_t Impl::hold_more(int64_t wanted_bytes, uint32_t slots_max) {
  uint32_t slots = 0;
  while (!blocks.can_discard() && slots < slots_max &&
         unpromised_arena_bytes(blocks.held_room_bytes(), Holes::kOpen) < wanted_bytes &&
         blocks.acquire_one())
    ++slots;
  return slots;
}

uint64_t Impl::promised_arena_bytes() const {
  if (blocks.can_discard()) return 0;
  const Promises promised = promises(Holes::kOpen);
  if (promised.charged_bytes == 0) return 0;
  const uint64_t heap_bytes = blocks.heap_bytes();
  return BlockAllocator::room_for(promised.block_bytes() + heap_bytes) - heap_bytes;
}

// Looks at all clients, so not at each put: a look that found much room is good for some more puts,
// together at most a quarter of it. One step against promises, as these put an end to such puts.
bool Impl::best_effort_fits() {
  constexpr uint64_t kPutsMax = 256;
  if (best_effort_puts_.fetch_sub(1, std::memory_order_relaxed) > 0) return true;
  const std::lock_guard lock(credit_mutex);
  if (best_effort_puts_.fetch_sub(1, std::memory_order_relaxed) > 0) return true;
  const uint32_t slots = hold_more(kPutsMax * kRawPageBytes, 1);
  int64_t bytes = unpromised_bytes(blocks.held_room_bytes());
  // While a promise is not held yet, puts get what they have acquired, and leave it the rest.
  if (slots != 0)
    bytes = std::max(bytes, std::min(unpromised_bytes(blocks.lasting_bytes()), kSlotBytes));
  const uint64_t pages = static_cast<uint64_t>(std::max<int64_t>(bytes, 0)) / kRawPageBytes;
  best_effort_puts_ = static_cast<int64_t>(std::min(pages / 4, kPutsMax));
  return pages != 0;
}

bool Impl::make_room(Worker::State& worker) {
  unsigned blocks_done = 0;
  if (reclaim_pending(worker, 4 * kSlicePages)) return true;
  if (blocks.lacks_heap()) return evict_objects();
  const uint64_t before = blocks.used_bytes();
  // Neither gains anything from incompressible pages.
  if (nursery_full() && compress_some(worker, Tier::kRaw, kAnyAge, &blocks_done) &&
      blocks.used_bytes() < before)
    return true;
  if (too_many_holes(kCleanBusy.holes_share) &&
      clean_some(worker, kCleanBusy.dead_share, &blocks_done) && blocks.used_bytes() < before)
    return true;
  if (evict_some(worker)) return true;
  return compress_some(worker, Tier::kRaw, kAnyAge, &blocks_done) ||
         clean_some(worker, kCleanIdle.dead_share, &blocks_done);
}

bool Impl::make_room_under_cap(Worker::State& worker, Client& client) {
  uint32_t shard = 0;
  for (Pool& pool : client.pools)
    if (pool.pages() != 0 && reclaim_from_next(pool, shard, 4 * kSlicePages)) return true;
  return evict_from(worker, client);
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
    while (c->pages() > c->cap_pages && make_room_under_cap(worker, *c)) worker.pause();
}

bool Impl::maintain_once(Worker::State& worker, bool idle, unsigned* blocks_done) {
  const uint64_t now_ms = clock.now_ms();
  if (reclaim_pending(worker, kBackgroundPages)) {
    *blocks_done += 1;
    return true;
  }
  if (blocks.heap_is_short()) {
    *blocks_done += 16;
    if (evict_objects()) return true;
  }
  if (const uint64_t room = blocks.room_bytes();
      blocks.used_bytes() + BlockAllocator::reserve_bytes(room) > room) {
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
  return too_many_holes(cleaning.holes_share) &&
         clean_some(worker, cleaning.dead_share, blocks_done);
}

// True when slots are missing still that can be had.
bool Impl::hold_promises(uint64_t arena_bytes) {
  for (uint32_t slots = 0; blocks.attached_bytes() < arena_bytes; ++slots)
    if (slots == kTrimSlotsMax || !blocks.acquire_one()) return slots == kTrimSlotsMax;
  return false;
}

bool Impl::maintain(Worker::State& worker, unsigned slices) {
  blocks.ask_provider_again();
  seal_idle();
  enforce_caps(worker);
  const uint64_t allocated = blocks.allocations();
  const bool idle = allocations_seen_.exchange(allocated) == allocated;  // no puts since last time
  const uint64_t now_ms = clock.now_ms();
  if (!idle) active_ms_ = now_ms;
  unsigned blocks_done = 0;
  bool more = true;
  while (more && blocks_done < slices) {
    more = maintain_once(worker, idle, &blocks_done);
    worker.pause();
  }
  if (!more) seal_idle();
  const uint64_t promised_bytes = promised_arena_bytes();
  if (hold_promises(promised_bytes)) more = true;
  const bool at_rest = now_ms - active_ms_ >= kRestMs;
  if (at_rest || blocks.held_bytes() > blocks.budget_bytes()) {
    (void)blocks.trim(/*keep_bytes=*/0, kTrimSlotsMax, promised_bytes);
  } else {
    const uint64_t keep_bytes = blocks.used_bytes() / 100 * options.nursery_percent;
    (void)blocks.trim(keep_bytes, kTrimSlotsMax, promised_bytes);
    if (!idle && blocks.acquire_ahead(keep_bytes)) more = true;
  }
  return more;
}

}  // namespace tmem::store
