// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/model/reference_store.h"

#include <algorithm>

namespace tmem::model {
namespace {

using store::Kind;
using store::Status;

Verdict expected(std::string_view what, Status status) {
  return "expected " + std::string(what) + ", got " + std::string(to_string(status));
}

Verdict expect(Status wanted, Status status) {
  if (status == wanted) return {};
  return expected(to_string(wanted), status);
}

uint32_t number(PoolId pool) {
  return static_cast<uint32_t>(pool);
}

bool removes_on_get(const store::PoolSpec& spec) {
  return spec.kind == Kind::kEphemeral && !spec.shared;
}

// What a page may cost a client's guarantee beyond its 4096 bytes: its records and a share of the
// holes of its segments; and once, the segments that are open.
constexpr uint64_t kChargeAPage = kPageBytes + 512;
constexpr uint64_t kChargeOnce = 512 * kKiB;

}  // namespace

ReferenceStore::ReferenceStore(Regime regime, const Contents& contents)
    : regime_(regime), contents_(contents) {}

ReferenceStore::Pool* ReferenceStore::find(const Operation& op) {
  Client& client = clients_[op.client];
  const auto it = client.pools.find(number(op.key.pool));
  return it == client.pools.end() ? nullptr : it->second.get();
}

ReferenceStore::Page* ReferenceStore::find(Pool& pool, const store::Key& key) {
  const auto object = pool.objects.find(key.object.word);
  if (object == pool.objects.end()) return nullptr;
  const auto page = object->second.find(key.index);
  return page == object->second.end() ? nullptr : &page->second;
}

ReferenceStore::Presence ReferenceStore::presence(const Pool& pool, const Page* page) const {
  if (page == nullptr) return Presence::kNo;
  if (pool.spec.kind == Kind::kPersistent) return Presence::kYes;
  const bool may_be_gone = regime_ == Regime::kTight || page->alive_at <= pool.evicted_at;
  return may_be_gone ? Presence::kMaybe : Presence::kYes;
}

void ReferenceStore::erase(Pool& pool, const store::Key& key) {
  const auto object = pool.objects.find(key.object.word);
  if (object == pool.objects.end()) return;
  pool.pages -= object->second.erase(key.index);
  if (object->second.empty()) pool.objects.erase(object);
}

uint64_t ReferenceStore::pages(const Client& client, Kind kind) {
  uint64_t sum = 0;
  for (const auto& [id, pool] : client.pools)
    if (!pool->spec.shared && pool->spec.kind == kind) sum += pool->pages;
  return sum;
}

uint64_t ReferenceStore::counted(const Client& client) {
  return pages(client, Kind::kPersistent) + pages(client, Kind::kEphemeral) + client.dying;
}

uint64_t ReferenceStore::pages(uint32_t client, Kind kind) const {
  return pages(clients_[client], kind);
}

uint64_t ReferenceStore::shared_pages_at_most() const {
  uint64_t sum = 0;
  for (const auto& [uuid, pool] : shared_)
    if (const auto live = pool.lock()) sum += live->pages;
  return sum;
}

bool ReferenceStore::exact(uint32_t client) const {
  if (regime_ == Regime::kTight) return false;
  for (const auto& [id, pool] : clients_[client].pools) {
    if (pool->spec.kind == Kind::kPersistent || pool->spec.shared) continue;
    for (const auto& [object, pages] : pool->objects)
      for (const auto& [index, page] : pages)
        if (presence(*pool, &page) != Presence::kYes) return false;
  }
  return true;
}

Verdict ReferenceStore::create_pool(const Operation& op, Status status) {
  Client& client = clients_[op.client];
  const bool never = op.spec.shared && op.spec.kind == Kind::kPersistent;
  if (!client.alive && never && status == Status::kRefused) return {};  // checked in either order
  if (!client.alive) return expect(Status::kNoSuchPool, status);
  if (const Pool* pool = find(op))
    return expect(pool->spec == op.spec ? Status::kOk : Status::kRefused, status);
  const bool denied =
      never || (op.spec.shared && !authorised_[{op.spec.uuid, client_uuid(op.client)}]);
  if (denied) return expect(Status::kRefused, status);
  if (status != Status::kOk) return expected("ok", status);
  auto& place = client.pools[number(op.key.pool)];
  if (op.spec.shared) place = shared_[op.spec.uuid].lock();
  if (place) {
    ++place->members;
    return {};
  }
  place = std::make_shared<Pool>();
  place->spec = op.spec;
  if (op.spec.shared) shared_[op.spec.uuid] = place;
  return {};
}

// The pages of a shared pool may stay for its other members.
void ReferenceStore::leave(Client& client, uint32_t pool) {
  const auto it = client.pools.find(pool);
  if (!it->second->spec.shared) client.dying += it->second->pages;
  --it->second->members;
  it->second->evicted_at = tick_;
  client.pools.erase(it);
}

Verdict ReferenceStore::destroy_pool(const Operation& op, Status status) {
  if (find(op) == nullptr) return expect(Status::kNoSuchPool, status);
  leave(clients_[op.client], number(op.key.pool));
  return expect(Status::kOk, status);
}

Verdict ReferenceStore::flush_pool(const Operation& op, Status status) {
  Pool* pool = find(op);
  if (pool == nullptr) return expect(Status::kNoSuchPool, status);
  if (!pool->spec.shared) clients_[op.client].dying += pool->pages;
  pool->objects.clear();
  pool->pages = 0;
  return expect(Status::kOk, status);
}

// Whether a put may be answered kNoSpace.
bool ReferenceStore::may_refuse(const Client& client, const Pool& pool, bool overwrite) const {
  const uint64_t persistent = pages(client, Kind::kPersistent) + client.dying + 1;
  const uint64_t held = counted(client) + (overwrite ? 0 : 1);
  if (!pool.spec.shared && held > client.settings.cap_pages) return true;
  if (regime_ == Regime::kAmple) return false;
  if (pool.spec.kind == Kind::kEphemeral) return true;
  return persistent * kChargeAPage + kChargeOnce > client.settings.guarantee_bytes;
}

void ReferenceStore::may_evict(Client& client) {
  for (auto& [id, pool] : client.pools)
    if (!pool->spec.shared) pool->evicted_at = tick_;
}

Verdict ReferenceStore::put(const Operation& op, Status status) {
  Client& client = clients_[op.client];
  Pool* pool = find(op);
  if (pool == nullptr) return expect(Status::kNoSuchPool, status);
  Page* old = find(*pool, op.key);
  const Presence was = presence(*pool, old);
  if (client.settings.frozen && was == Presence::kNo) return expect(Status::kFrozen, status);
  if (status == Status::kFrozen) {
    if (!client.settings.frozen || was == Presence::kYes) return expected("not frozen", status);
    erase(*pool, op.key);
    return {};
  }
  if (status == Status::kNoSpace) {
    const bool allowed = may_refuse(client, *pool, old != nullptr);
    erase(*pool, op.key);
    return allowed ? Verdict{} : expected("ok, as there must be room", status);
  }
  if (status != Status::kOk) return expected("ok, no-space or frozen", status);
  Page& page = pool->objects[op.key.object.word][op.key.index];
  if (old == nullptr) ++pool->pages;
  page = {op.content, tick_};
  if (!pool->spec.shared && counted(client) > client.settings.cap_pages) {
    may_evict(client);
    page.alive_at = tick_ + 1;  // a page is not evicted by its own put
  }
  return {};
}

Verdict ReferenceStore::get(const Operation& op, Status status, store::PageBytes bytes) {
  Pool* pool = find(op);
  if (pool == nullptr) return expect(Status::kNoSuchPool, status);
  Page* page = find(*pool, op.key);
  const Presence was = presence(*pool, page);
  if (was == Presence::kNo) return expect(Status::kMiss, status);
  if (status == Status::kMiss && was == Presence::kMaybe) {
    erase(*pool, op.key);
    return {};
  }
  if (status != Status::kOk) return expected("ok", status);
  if (!contents_.matches(page->content, bytes)) return "the page has other bytes than were put";
  page->alive_at = std::max(page->alive_at, tick_);
  if (removes_on_get(pool->spec)) erase(*pool, op.key);
  return {};
}

Verdict ReferenceStore::flush_page(const Operation& op, Status status) {
  Pool* pool = find(op);
  if (pool == nullptr) return expect(Status::kNoSuchPool, status);
  const Presence was = presence(*pool, find(*pool, op.key));
  erase(*pool, op.key);
  if (was == Presence::kMaybe && status == Status::kMiss) return {};
  return expect(was == Presence::kNo ? Status::kMiss : Status::kOk, status);
}

Verdict ReferenceStore::flush_object(const Operation& op, Status status) {
  Pool* pool = find(op);
  if (pool == nullptr) return expect(Status::kNoSuchPool, status);
  const auto object = pool->objects.find(op.key.object.word);
  if (object == pool->objects.end()) return expect(Status::kMiss, status);
  const bool some_must_be = std::ranges::any_of(object->second, [&](const auto& entry) {
    return presence(*pool, &entry.second) == Presence::kYes;
  });
  if (!pool->spec.shared) clients_[op.client].dying += object->second.size();
  pool->pages -= object->second.size();
  pool->objects.erase(object);
  if (!some_must_be && status == Status::kMiss) return {};
  return expect(Status::kOk, status);
}

void ReferenceStore::add_client(uint32_t client, const store::ClientSettings& settings) {
  clients_[client].alive = true;
  clients_[client].settings = settings;
}

void ReferenceStore::remove_client(uint32_t client) {
  Client& leaver = clients_[client];
  while (!leaver.pools.empty()) leave(leaver, leaver.pools.begin()->first);
  leaver = Client{};
}

void ReferenceStore::configure(uint32_t client, const store::ClientSettings& settings) {
  Client& changed = clients_[client];
  changed.settings = settings;
  if (counted(changed) > settings.cap_pages) may_evict(changed);
}

void ReferenceStore::settled() {
  for (Client& client : clients_) client.dying = 0;
}

void ReferenceStore::authorise(const Operation& op) {
  authorised_[{op.spec.uuid, client_uuid(op.client)}] = op.allowed;
}

void ReferenceStore::evict() {
  for (Client& client : clients_)
    for (auto& [id, pool] : client.pools) pool->evicted_at = tick_;
}

Verdict ReferenceStore::evict_client(uint32_t client, uint64_t dropped) {
  const bool known = exact(client);
  const uint64_t held = pages(client, Kind::kEphemeral);
  for (auto& [id, pool] : clients_[client].pools) {
    if (pool->spec.kind == Kind::kPersistent || pool->spec.shared) continue;
    pool->objects.clear();
    pool->pages = 0;
  }
  if (dropped == held || (!known && dropped < held)) return {};
  return "evict_client dropped " + std::to_string(dropped) + " pages of " + std::to_string(held);
}

std::vector<Operation> ReferenceStore::all_pages(uint32_t client) const {
  std::vector<Operation> gets;
  for (const auto& [id, pool] : clients_[client].pools) {
    for (const auto& [object, pages] : pool->objects) {
      for (const auto& [index, page] : pages) {
        Operation& get = gets.emplace_back();
        get.client = static_cast<uint8_t>(client);
        get.key = {PoolId{id}, {object}, index};
      }
    }
  }
  return gets;
}

std::optional<store::PoolSpec> ReferenceStore::pool(const Operation& op) const {
  const Client& client = clients_[op.client];
  const auto it = client.pools.find(number(op.key.pool));
  if (it == client.pools.end()) return {};
  return it->second->spec;
}

}  // namespace tmem::model
