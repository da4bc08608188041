// SPDX-License-Identifier: GPL-2.0-or-later
// INTERIM: a map behind the Store interface, so that other parts can run while the store is built.
#include <map>
#include <mutex>
#include <tuple>
#include <set>
#include <cstring>
#include <algorithm>

#include "libtmem/base/assert.h"
#include "tmemd/store/store.h"

namespace tmem::store {
using Loc = std::tuple<uint32_t, std::array<uint64_t, 3>, uint32_t>;
using Page = std::array<std::byte, kPageBytes>;
class Client {
 public:
  uint32_t number = 0;
  bool dead = false;
  ClientIdentity id;
  ClientSettings set;
  ClientCounters n;
  std::array<std::optional<PoolSpec>, kPoolsMax> pools;
  std::array<std::shared_ptr<Client>, kPoolsMax> shared;
  bool is_shared = false;
  std::map<Loc, Page> pages;
};
class Impl {
 public:
  mutable std::mutex m;
  Options o;
  uint64_t epoch = 0;
  uint32_t next = 1;
  std::map<uint32_t, ClientRef> clients;
  std::vector<SharedGrant> grants;
  uint64_t used() const { uint64_t n = 0; for (auto& c : clients) n += c.second->pages.size() * kPageBytes; return n; }
};
struct Worker::State {};
Worker::Worker() : state_(std::make_unique<State>()) {}
Worker::~Worker() = default;
Worker::Worker(Worker&&) noexcept = default;
std::string_view to_string(DedupScope s) { static constexpr std::string_view n[] = {"none", "client", "group", "host"}; return n[static_cast<int>(s)]; }
std::string_view to_string(Status s) { static constexpr std::string_view n[] = {"ok", "miss", "no-space", "frozen", "no-such-pool", "refused", "stale-epoch", "bad-request"}; return n[static_cast<int>(s)]; }
Store::Store(std::unique_ptr<Impl> i) : impl_(std::move(i)) {}
Store::~Store() = default;
Result<std::unique_ptr<Store>> Store::create(const Options& o, memory::SlotProvider&, const Clock&, uint64_t seed) {
  if (o.budget_bytes < 4 * kMiB) return fail(Errc::kMalformed, "the budget is under 4 MiB");
  auto i = std::make_unique<Impl>(); i->o = o; i->epoch = seed * 0x9e3779b97f4a7c15ull + 1;
  return std::unique_ptr<Store>(new Store(std::move(i)));
}
uint64_t Store::epoch() const { return impl_->epoch; }
Result<ClientRef> Store::add_client(const ClientIdentity& id, const ClientSettings& s) {
  std::lock_guard l(impl_->m);
  for (auto& [n, c] : impl_->clients) if (!c->dead && !c->is_shared && c->id.uuid == id.uuid) return fail(Errc::kConflict, "a client with this uuid is connected");
  auto c = std::make_shared<Client>(); c->number = impl_->next++; c->id = id; c->set = s; impl_->clients[c->number] = c; return c;
}
void Store::remove_client(Client& c) { std::lock_guard l(impl_->m); c.dead = true; c.pages.clear(); impl_->clients.erase(c.number); }
Result<void> Store::configure(Client& c, const ClientSettings& s) { std::lock_guard l(impl_->m); c.set = s; return {}; }
ClientSettings Store::settings(const Client& c) const { std::lock_guard l(impl_->m); return c.set; }
uint32_t Store::number(const Client& c) const { return c.number; }
ClientRef Store::find_client(uint32_t n) const { std::lock_guard l(impl_->m); auto it = impl_->clients.find(n); return it == impl_->clients.end() ? nullptr : it->second; }
static uint32_t pi(PoolId p) { return static_cast<uint32_t>(p); }
Status Store::create_pool(Client& c, PoolId p, const PoolSpec& s) {
  std::lock_guard l(impl_->m);
  if (c.dead) return Status::kNoSuchPool;
  auto& slot = c.pools[pi(p)];
  if (slot) return *slot == s ? Status::kOk : Status::kRefused;
  if (s.shared) {
    if (s.kind == Kind::kPersistent) return Status::kRefused;
    bool ok = false; for (auto& g : impl_->grants) ok |= g.pool == s.uuid && g.client == c.id.uuid;
    if (!ok) return Status::kRefused;
    ClientRef sh; for (auto& [n, x] : impl_->clients) if (x->is_shared && x->id.uuid == s.uuid) sh = x;
    if (!sh) { sh = std::make_shared<Client>(); sh->is_shared = true; sh->number = impl_->next++; sh->id.uuid = s.uuid; sh->id.name = "shared"; impl_->clients[sh->number] = sh; }
    c.shared[pi(p)] = sh;
  }
  slot = s; return Status::kOk;
}
static void drop(Client& c, uint32_t pool) { std::erase_if(c.pages, [&](auto& e) { return std::get<0>(e.first) == pool; }); }
Status Store::destroy_pool(Client& c, PoolId p) { std::lock_guard l(impl_->m); if (!c.pools[pi(p)]) return Status::kNoSuchPool; drop(c, pi(p)); c.pools[pi(p)].reset(); c.shared[pi(p)].reset(); return Status::kOk; }
Status Store::flush_pool(Client& c, PoolId p) { std::lock_guard l(impl_->m); if (!c.pools[pi(p)]) return Status::kNoSuchPool; if (c.shared[pi(p)]) c.shared[pi(p)]->pages.clear(); else drop(c, pi(p)); return Status::kOk; }
Status Store::put(Worker&, Client& c, const Key& k, PageBytes b) {
  std::lock_guard l(impl_->m); c.n.puts++;
  if (c.dead || !c.pools[pi(k.pool)]) return Status::kNoSuchPool;
  Client& h = c.shared[pi(k.pool)] ? *c.shared[pi(k.pool)] : c;
  Loc loc{c.shared[pi(k.pool)] ? 0 : pi(k.pool), k.object.word, k.index};
  bool had = h.pages.count(loc);
  if (c.set.frozen && !had) { c.n.puts_frozen++; return Status::kFrozen; }
  h.pages.erase(loc);
  while (impl_->used() + kPageBytes > impl_->o.budget_bytes || c.pages.size() >= c.set.cap_pages) {
    auto it = std::find_if(h.pages.begin(), h.pages.end(), [&](auto& e) { return c.shared[pi(k.pool)] || c.pools[std::get<0>(e.first)]->kind == Kind::kEphemeral; });
    if (it == h.pages.end()) { c.n.puts_no_space++; return Status::kNoSpace; }
    h.pages.erase(it); h.n.evicted_pages++;
  }
  Page pg; std::memcpy(pg.data(), b.data(), kPageBytes); h.pages[loc] = pg; c.n.puts_ok++; c.n.puts_replaced += had; return Status::kOk;
}
Status Store::get(Worker&, Client& c, const Key& k, PageBuffer out) {
  std::lock_guard l(impl_->m); c.n.gets++;
  if (c.dead || !c.pools[pi(k.pool)]) return Status::kNoSuchPool;
  Client& h = c.shared[pi(k.pool)] ? *c.shared[pi(k.pool)] : c;
  auto it = h.pages.find(Loc{c.shared[pi(k.pool)] ? 0 : pi(k.pool), k.object.word, k.index});
  if (it == h.pages.end()) return Status::kMiss;
  std::memcpy(out.data(), it->second.data(), kPageBytes); c.n.hits++;
  if (!c.shared[pi(k.pool)] && c.pools[pi(k.pool)]->kind == Kind::kEphemeral) h.pages.erase(it);
  return Status::kOk;
}
Status Store::flush_page(Worker&, Client& c, const Key& k) {
  std::lock_guard l(impl_->m); c.n.flushes++;
  if (c.dead || !c.pools[pi(k.pool)]) return Status::kNoSuchPool;
  Client& h = c.shared[pi(k.pool)] ? *c.shared[pi(k.pool)] : c;
  bool f = h.pages.erase(Loc{c.shared[pi(k.pool)] ? 0 : pi(k.pool), k.object.word, k.index}); c.n.flushes_found += f; return f ? Status::kOk : Status::kMiss;
}
Status Store::flush_object(Client& c, PoolId p, const ObjectId& o) {
  std::lock_guard l(impl_->m); c.n.flushes++;
  if (c.dead || !c.pools[pi(p)]) return Status::kNoSuchPool;
  Client& h = c.shared[pi(p)] ? *c.shared[pi(p)] : c; uint32_t pool = c.shared[pi(p)] ? 0 : pi(p);
  auto n = std::erase_if(h.pages, [&](auto& e) { return std::get<0>(e.first) == pool && std::get<1>(e.first) == o.word; }); c.n.flushes_found += n > 0; return n ? Status::kOk : Status::kMiss;
}
void Store::prefetch(const Client&, const Key&) const {}
void Store::authorise_shared(const SharedGrant& g, bool a) { std::lock_guard l(impl_->m); std::erase_if(impl_->grants, [&](auto& x) { return x.pool == g.pool && x.client == g.client; }); if (a) impl_->grants.push_back(g); }
std::vector<SharedGrant> Store::shared_grants() const { std::lock_guard l(impl_->m); return impl_->grants; }
Result<void> Store::set_budget(uint64_t b) { std::lock_guard l(impl_->m); impl_->o.budget_bytes = b; return {}; }
uint64_t Store::evict(Worker&, uint64_t) { return 0; }
uint64_t Store::evict_client(Worker&, Client& c) { std::lock_guard l(impl_->m); return std::erase_if(c.pages, [&](auto& e) { return c.is_shared || c.pools[std::get<0>(e.first)]->kind == Kind::kEphemeral; }); }
bool Store::maintain(Worker&, unsigned) { return false; }
static ClientStats cs(const Client& c) {
  ClientStats s; s.number = c.number; s.identity = c.id; s.is_shared_pool = c.is_shared; s.settings = c.set; s.counters = c.n;
  for (uint32_t i = 0; i < kPoolsMax; ++i) if (c.pools[i]) s.pools.push_back({PoolId{i}, *c.pools[i], static_cast<uint64_t>(std::count_if(c.pages.begin(), c.pages.end(), [&](auto& e) { return std::get<0>(e.first) == i; }))});
  for (auto& p : s.pools) { s.pages[static_cast<int>(p.spec.kind)] += p.pages; s.charged_bytes[static_cast<int>(p.spec.kind)] += p.pages * kPageBytes; }
  return s;
}
StoreStats Store::stats() const { std::lock_guard l(impl_->m); StoreStats s; s.budget_bytes = impl_->o.budget_bytes; s.held_bytes = impl_->used(); s.clients = static_cast<uint32_t>(impl_->clients.size()); for (auto& [n, c] : impl_->clients) { auto x = cs(*c); for (int k = 0; k < 2; ++k) s.pages[k] += x.pages[k], s.stored_bytes[k] += x.charged_bytes[k]; } return s; }
ClientStats Store::client_stats(const Client& c) const { std::lock_guard l(impl_->m); return cs(c); }
std::vector<ClientStats> Store::all_client_stats() const { std::lock_guard l(impl_->m); std::vector<ClientStats> v; for (auto& [n, c] : impl_->clients) v.push_back(cs(*c)); return v; }
std::optional<std::string> Store::check_invariants() const { return {}; }
}  // namespace tmem::store
