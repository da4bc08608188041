// SPDX-License-Identifier: GPL-2.0-or-later
// Creation, settings, eviction on demand and statistics of the store.
#include <algorithm>
#include <bit>
#include <thread>

#include "tmemd/store/impl.h"
#include "tmemd/store/scheduler.h"

namespace tmem::store {
namespace {

constexpr uint64_t kBudgetBytesMin = 4 * kMiB;
constexpr unsigned kEvictMissesMax = 10'000;  // looks without a page found, each after a yield

ClientCounters sum_counters(const Client& client) {
  std::array<uint64_t, static_cast<size_t>(Counter::kCount)> sums{};
  for (const CounterLine& line : client.counters)
    for (size_t i = 0; i < sums.size(); ++i)
      sums[i] += line.value[i].load(std::memory_order_relaxed);
  auto counters = std::bit_cast<ClientCounters>(sums);
  counters.puts_ok += counters.persistent_puts;
  counters.hits += counters.persistent_hits;
  counters.puts += counters.puts_ok + counters.puts_no_space + counters.puts_frozen;
  counters.gets += counters.hits + counters.ephemeral_misses;
  return counters;
}

}  // namespace

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::create(const Options& options, memory::SlotProvider& provider,
                                             const Clock& clock, uint64_t seed) {
  if (options.budget_bytes < kBudgetBytesMin)
    return fail(Errc::kMalformed, "the pool needs at least 4 MiB");
  if (options.nursery_percent == 0 || options.nursery_percent > 100)
    return fail(Errc::kMalformed, "nursery_percent must be 1 to 100");
  if (options.budget_bytes > uint64_t{provider.slots_max()} * memory::kSlotBytes)
    return fail(Errc::kNoSpace, "the memory provider has less than the pool's budget");
  return std::unique_ptr<Store>(new Store(std::make_unique<Impl>(options, provider, clock, seed)));
}

uint64_t Store::epoch() const {
  return impl_->epoch;
}
uint64_t Store::epoch(const Client& client) {
  return client.epoch;
}

Result<ClientRef> Store::add_client(const ClientIdentity& identity,
                                    const ClientSettings& settings) {
  const std::lock_guard lock(impl_->credit_mutex);
  impl_->forget_best_effort(lock);
  return impl_->registry.add(identity, settings, impl_->guarantee_room());
}

Result<void> Store::configure(Client& client, const ClientSettings& settings) {
  const std::lock_guard lock(impl_->credit_mutex);
  impl_->forget_best_effort(lock);
  return impl_->registry.configure(client, settings, impl_->guarantee_room());
}

void Store::tax(Client& client, uint32_t weight) {
  const std::lock_guard lock(client.mutex);
  client.weight = std::min(weight, client.settings.weight);
}

ClientSettings Store::settings(const Client& client) const {
  const std::lock_guard lock(client.mutex);
  return client.settings;
}

uint32_t Store::number(const Client& client) const {
  return client.number;
}
ClientRef Store::find_client(uint32_t number) const {
  return impl_->registry.find(number);
}

void Store::authorise_shared(const SharedGrant& grant, bool allowed) {
  impl_->registry.authorise(grant, allowed);
}

std::vector<SharedGrant> Store::shared_grants() const {
  return impl_->registry.grants();
}

Result<void> Store::set_budget(uint64_t budget_bytes) {
  Impl& impl = *impl_;
  if (budget_bytes < kBudgetBytesMin)
    return fail(Errc::kMalformed, "the pool needs at least 4 MiB");
  if (budget_bytes > impl.blocks.blocks_max() * kBlockBytes)
    return fail(Errc::kNoSpace, "the pool cannot grow beyond " +
                                    std::to_string(impl.blocks.blocks_max() * kBlockBytes / kMiB) +
                                    " MiB, the size it was started with");
  const uint64_t reserve_bytes = BlockAllocator::reserve_bytes(budget_bytes);
  uint64_t needed_bytes = reserve_bytes;
  for (const ClientRef& c : impl.registry.live())
    needed_bytes += std::max<uint64_t>(c->guarantee_bytes, c->charged_bytes(Kind::kPersistent));
  if (needed_bytes > budget_bytes)
    return fail(Errc::kNoSpace, "persistent pages, guarantees and reserve need " +
                                    std::to_string((needed_bytes + kMiB - 1) / kMiB) + " MiB");
  impl.blocks.set_budget(budget_bytes);
  return {};
}

void Store::refuse_new_pages(bool refuse) {
  impl_->refuses_new_pages = refuse;
  // A put looks under its shard's lock: one that did not see the change is over now.
  for (auto& shard : impl_->shards) const std::lock_guard lock(shard->lock);
}

uint64_t Store::evict(Worker& worker, uint64_t bytes) {
  Impl& impl = *impl_;
  const uint64_t before = impl.blocks.held_bytes();
  const uint64_t used_before = impl.blocks.used_bytes();
  (void)impl.blocks.trim(0, ~0u, impl.promised_arena_bytes());
  while (impl.blocks.used_bytes() + bytes > used_before) {
    if (!impl.reclaim_pending(worker.state(), 64) && !impl.evict_some(worker.state())) break;
  }
  (void)impl.blocks.trim(0, ~0u, impl.promised_arena_bytes());
  const uint64_t after = impl.blocks.held_bytes();
  return before > after ? before - after : 0;
}

uint64_t Store::evict_client(Worker& worker, Client& client) {
  const auto pages = [&client] { return client.usage.pages[0].load(); };
  // Pages are counted under their shard's lock: what went before this call is counted after this.
  for (auto& shard : impl_->shards) const std::lock_guard lock(shard->lock);
  // Not by the pages held: another thread may be freeing some that were flushed before.
  const uint64_t before = sum_counters(client).evicted_pages;
  while (impl_->reclaim_pending(worker.state(), 64)) {
  }
  // Segments that another thread compresses or cleans come back soon.
  for (unsigned misses = 0; pages() != 0 && misses < kEvictMissesMax; ++misses) {
    if (impl_->evict_from(worker.state(), client))
      misses = 0;
    else
      std::this_thread::yield();
  }
  return sum_counters(client).evicted_pages - before;
}

void Store::set_arena_limit(uint64_t bytes) {
  const std::lock_guard lock(impl_->credit_mutex);
  impl_->forget_best_effort(lock);
  impl_->blocks.set_arena_limit(bytes);
}

ShrinkState Store::shrink(Worker& worker, unsigned slices) {
  return impl_->shrink(worker.state(), slices);
}

bool Store::maintain(Worker& worker, unsigned slices) {
  return impl_->maintain(worker.state(), slices);
}

// ---- Statistics ----

StoreStats Store::stats() const {
  const Impl& impl = *impl_;
  StoreStats s;
  s.budget_bytes = impl.blocks.budget_bytes();
  s.limit_bytes = impl.blocks.lasting_bytes();
  s.best_effort_bytes = impl.best_effort_bytes(s.limit_bytes);
  s.held_bytes = impl.blocks.held_bytes();
  s.metadata_bytes = impl.blocks.heap_bytes() + impl.tables.bytes() + impl.contents.record_bytes();
  s.heap_bytes = impl.blocks.heap_bytes();
  s.heap_bytes_max = impl.blocks.heap_bytes_max();
  s.reserve_bytes = impl.blocks.reserve_bytes();
  s.guaranteed_bytes = impl.registry.guaranteed_bytes();
  const ContentTotals totals = impl.contents.totals();
  for (size_t k = 0; k < kKinds; ++k) s.stored_bytes[k] = totals.stored_bytes[k];
  for (size_t t = 0; t < kTiers; ++t) {
    s.tier_pages[t] = totals.pages[t];
    s.tier_bytes[t] = totals.bytes[t];
  }
  s.contents = totals.contents;
  const uint64_t references = totals.references;
  s.duplicate_pages = references > s.contents ? references - s.contents : 0;
  s.compressed_pages = totals.compressed;
  s.recompressed_pages = totals.recompressed;
  s.incompressible_pages = totals.incompressible;
  s.cleaned_pages = totals.cleaned;
  s.evicted_pages = impl.evicted_pages;
  s.segments = impl.segments.count();
  s.released_slots = impl.blocks.released_slots();
  uint64_t ephemeral_bytes = 0;
  for (const auto& owner : impl.owners()) ephemeral_bytes += owner->of(Kind::kEphemeral).size_bytes;
  const uint64_t used = impl.blocks.used_bytes();
  s.freeable_bytes = (s.budget_bytes > used ? s.budget_bytes - used : 0) + ephemeral_bytes;
  if (!impl.blocks.can_discard()) s.freeable_bytes = impl.freeable_slot_bytes();
  s.arena_bytes = impl.blocks.arena_bytes();
  for (const ClientRef& c : impl.registry.all()) {
    for (size_t k = 0; k < kKinds; ++k) s.pages[k] += c->usage.pages[k];
    if (c->live) ++s.clients;
  }
  const uint64_t pages = s.pages[0] + s.pages[1];
  s.same_filled_pages = pages > references ? pages - references : 0;
  return s;
}

ClientStats Store::client_stats(const Client& client) const {
  const Impl& impl = *impl_;
  uint64_t weights = 0;
  uint64_t ephemeral_bytes = 0;
  for (const ClientRef& c : impl.registry.live()) {
    weights += c->weight;
    ephemeral_bytes += c->charged_bytes(Kind::kEphemeral);
  }
  ClientStats s;
  s.number = client.number;
  s.identity = client.identity;
  s.is_shared_pool = client.is_shared_pool;
  s.settings = settings(client);
  s.effective_weight = client.weight;
  s.counters = sum_counters(client);
  for (const Kind kind : kAllKinds) {
    const auto k = static_cast<size_t>(kind);
    s.pages[k] = client.usage.pages[k];
    s.charged_bytes[k] = client.charged_bytes(kind);
  }
  s.credits = static_cast<uint32_t>(client.usage.credits);
  s.entitled_bytes = entitled_bytes(client.weight, weights, ephemeral_bytes);
  const std::lock_guard lock(client.mutex);
  for (uint32_t p = 0; p < kPoolsMax; ++p) {
    const PoolState state = client.pools[p].load();
    if (!state.alive()) continue;
    const Client* home = client.pools[p].home;
    const uint64_t pages = state.shared ? home->pools[0].pages() : client.pools[p].pages();
    s.pools.push_back({PoolId{p}, {state.kind, state.shared, client.pools[p].uuid}, pages});
  }
  return s;
}

std::vector<ClientStats> Store::all_client_stats() const {
  std::vector<ClientStats> result;
  for (const ClientRef& c : impl_->registry.live()) result.push_back(client_stats(*c));
  return result;
}

}  // namespace tmem::store
