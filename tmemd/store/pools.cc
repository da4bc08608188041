// SPDX-License-Identifier: GPL-2.0-or-later
// Pools come and go. A pool's generation names its pages: flushing or destroying a pool changes it
// in one store, after which no old page is found again; their memory comes back in slices.
#include <algorithm>

#include "libtmem/base/mutation.h"
#include "tmemd/store/impl.h"

namespace tmem::store {
namespace {

// Shared pools that ended while a client was in them and that it keeps alive, as another queue of
// it may be at work there: some 11 KiB each, so at most 0.7 MiB a client. Enough for a guest that
// mounts some file systems a day; it starts anew when it connects again.
constexpr int64_t kGoneHomesMax = 64;

bool has_room_for_home(const Client& client) {
  return std::ranges::count_if(client.homes, [](const ClientRef& home) { return !home->live; }) <
         kGoneHomesMax;
}

uint32_t number_of(PoolId pool) {
  return static_cast<uint32_t>(pool);
}

// What is answered without creating the pool, if anything. Under the client's mutex.
std::optional<Status> answer_existing(const Client& client, PoolId pool, const PoolSpec& spec) {
  if (!client.live) return Status::kNoSuchPool;
  const Pool& p = client.pools[number_of(pool)];
  const PoolState state = p.load();
  if (!state.alive()) return std::nullopt;
  return PoolSpec{state.kind, state.shared, p.uuid} == spec ? Status::kOk : Status::kRefused;
}

}  // namespace

uint32_t Impl::new_generation() {
  uint32_t generation = next_generation++;
  while (generation == 0) generation = next_generation++;
  return generation;
}

// The shared pool's client; null if the client may not join, or an administrator just removed it.
ClientRef Impl::join_shared(Client& client, const Uuid& uuid) {
  const auto home = registry.join_shared(uuid, client);
  if (!home) return nullptr;
  {
    const std::lock_guard lock((*home)->mutex);
    if ((*home)->live) {
      Pool& pool = (*home)->pools[0];
      if (pool.load().alive()) return *home;
      pool.home = home->get();
      pool.uuid = uuid;
      pool.state = PoolState{new_generation(), Kind::kEphemeral, false}.pack();
      return *home;
    }
  }
  leave_shared(**home);
  return nullptr;
}

void Impl::leave_shared(Client& home) {
  if (registry.leave_shared(home)) remove_pools(home);
}

Status Store::create_pool(Client& client, PoolId pool, const PoolSpec& spec) {
  if (spec.shared && spec.kind == Kind::kPersistent) return Status::kRefused;
  {
    const std::lock_guard lock(client.mutex);
    if (const auto answer = answer_existing(client, pool, spec)) return *answer;
    if (spec.shared && !has_room_for_home(client)) return Status::kRefused;
  }
  const ClientRef home =
      spec.shared ? impl_->join_shared(client, spec.uuid) : client.shared_from_this();
  if (home == nullptr) return Status::kRefused;
  std::optional<Status> answer;
  {
    const std::lock_guard lock(client.mutex);
    answer = answer_existing(client, pool, spec);  // another queue's, or it was removed
    if (!answer) {
      Pool& p = client.pools[number_of(pool)];
      if (spec.shared) client.homes.insert(home);
      p.uuid = spec.uuid;
      p.home = home.get();
      p.state = PoolState{impl_->new_generation(), spec.kind, spec.shared}.pack();
      return Status::kOk;
    }
  }
  if (spec.shared) impl_->leave_shared(*home);
  return *answer;
}

void Impl::destroy_pool_of(Client& client, uint32_t pool, bool recreate) {
  Pool& p = client.pools[pool];
  PoolState state = p.load();
  state.generation = recreate ? new_generation() : 0;
  if (TMEM_MUTATED(kSkipFlushPool) && recreate) return;
  p.state.store(state.generation == 0 ? 0 : state.pack(), std::memory_order_release);
  // An operation that resolved the old state does nothing once it has its shard's lock.
  add_flushed(client.shared_from_this(), pool);
}

Status Store::flush_pool(Client& client, PoolId pool) {
  const auto target = impl_->resolve(client, pool);
  if (!target) return Status::kNoSuchPool;
  const std::lock_guard lock(target->home.mutex);
  if (!Impl::is_current(*target)) return Status::kNoSuchPool;
  impl_->destroy_pool_of(target->home, target->pool, /*recreate=*/true);
  return Status::kOk;
}

Status Store::destroy_pool(Client& client, PoolId pool) {
  Client* left = nullptr;
  {
    const std::lock_guard lock(client.mutex);
    const PoolState state = client.pools[number_of(pool)].load();
    if (!state.alive()) return Status::kNoSuchPool;
    if (state.shared) {
      Pool& p = client.pools[number_of(pool)];
      left = p.home;
      p.state = 0;
    } else if (!TMEM_MUTATED(kDestroyKeepsPages)) {
      impl_->destroy_pool_of(client, number_of(pool), /*recreate=*/false);
    }
  }
  if (left != nullptr) impl_->leave_shared(*left);
  return Status::kOk;
}

void Store::remove_client(Client& client) {
  if (impl_->registry.remove(client)) impl_->remove_pools(client);
}

void Impl::remove_pools(Client& client) {
  std::vector<Client*> left;
  {
    const std::lock_guard lock(client.mutex);
    for (Pool& pool : client.pools) {
      const PoolState state = pool.load();
      if (state.alive() && state.shared) left.push_back(pool.home);
      pool.state.store(0, std::memory_order_release);
    }
  }
  add_removed(client.shared_from_this());
  for (Client* home : left) leave_shared(*home);
}

}  // namespace tmem::store
