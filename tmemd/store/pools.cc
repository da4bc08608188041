// SPDX-License-Identifier: GPL-2.0-or-later
// Pools come and go. A pool's generation names its pages: flushing or destroying a pool changes it
// in one store, after which no old page is found again; their memory comes back in slices.
#include "libtmem/base/mutation.h"
#include "tmemd/store/impl.h"

namespace tmem::store {
namespace {

uint32_t number_of(PoolId pool) {
  return static_cast<uint32_t>(pool);
}

}  // namespace

uint32_t Impl::new_generation() {
  uint32_t generation = next_generation++;
  while (generation == 0) generation = next_generation++;
  return generation;
}

Status Store::create_pool(Client& client, PoolId pool, const PoolSpec& spec) {
  if (spec.shared && spec.kind == Kind::kPersistent) return Status::kRefused;
  Pool& p = client.pools[number_of(pool)];
  {
    const std::lock_guard lock(client.mutex);
    if (!client.live) return Status::kNoSuchPool;
    const PoolState state = p.load();
    if (state.alive()) {
      const PoolSpec now{state.kind, state.shared, p.uuid};
      return now == spec ? Status::kOk : Status::kRefused;
    }
  }
  ClientRef home = client.shared_from_this();
  if (spec.shared) {
    auto joined = impl_->registry.join_shared(spec.uuid, client);
    if (!joined) return Status::kRefused;
    home = *joined;
    const std::lock_guard lock(home->mutex);
    Pool& of_home = home->pools[0];
    if (!of_home.load().alive()) {
      of_home.home = home.get();
      of_home.uuid = spec.uuid;
      of_home.state = PoolState{impl_->new_generation(), Kind::kEphemeral, false}.pack();
    }
  }
  {
    const std::lock_guard lock(client.mutex);
    if (client.live) {
      if (spec.shared) client.homes.insert(home);
      p.uuid = spec.uuid;
      p.home = home.get();
      p.state = PoolState{impl_->new_generation(), spec.kind, spec.shared}.pack();
      return Status::kOk;
    }
  }
  // Removed meanwhile.
  if (spec.shared && impl_->registry.leave_shared(*home)) remove_client(*home);
  return Status::kNoSuchPool;
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
  if (left != nullptr && impl_->registry.leave_shared(*left)) remove_client(*left);
  return Status::kOk;
}

void Store::remove_client(Client& client) {
  if (!impl_->registry.remove(client)) return;
  std::vector<Client*> left;
  {
    const std::lock_guard lock(client.mutex);
    for (Pool& pool : client.pools) {
      const PoolState state = pool.load();
      if (state.alive() && state.shared) left.push_back(pool.home);
      pool.state.store(0, std::memory_order_release);
    }
  }
  impl_->add_removed(client.shared_from_this());
  for (Client* shared : left)
    if (impl_->registry.leave_shared(*shared)) remove_client(*shared);
}

}  // namespace tmem::store
