// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/store/registry.h"

#include <algorithm>

#include "libtmem/base/text.h"

namespace tmem::store {
namespace {

// splitmix64: S. Vigna, public domain reference.
uint64_t next_random(uint64_t& state) {
  uint64_t x = state += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

Registry::Registry(Tables& tables, uint64_t seed, uint64_t epoch)
    : tables_(tables), salt_state_(seed), epoch_state_(epoch), clients_(1) {}

uint64_t Registry::guaranteed_locked(const Client* except) const {
  uint64_t sum = 0;
  for (const ClientRef& c : clients_)
    if (c && c->live && c.get() != except) sum += c->guarantee_bytes;
  return sum;
}

uint64_t Registry::guaranteed_bytes() const {
  const std::lock_guard lock(mutex_);
  return guaranteed_locked(nullptr);
}

Owner* Registry::dedup_owner(Client& client, const ClientSettings& settings) {
  switch (settings.dedup) {
    case DedupScope::kNone:
      return nullptr;
    case DedupScope::kClient:
      return &client.owner;
    case DedupScope::kHost:
      return &host_;
    case DedupScope::kGroup:
      break;
  }
  auto& group = groups_[settings.dedup_group];
  if (!group) {
    const auto used = static_cast<uint32_t>(groups_.size() - 1);
    group = std::make_unique<Owner>(kScopeNumbersTop - used, nullptr);
  }
  return group.get();
}

void Registry::apply(Client& client, const ClientSettings& settings) {
  const std::lock_guard lock(client.mutex);
  client.settings = settings;
  client.weight = settings.weight;
  client.cap_pages = settings.cap_pages;
  client.guarantee_bytes = settings.guarantee_bytes;
  client.owner.compresses = settings.compress;
  client.frozen = settings.frozen;
  client.dedup_owner = dedup_owner(client, settings);
}

Result<ClientRef> Registry::add_locked(const ClientIdentity& identity,
                                       const ClientSettings& settings, bool is_shared_pool) {
  uint32_t number = 1;
  while (number < clients_.size() && clients_[number]) ++number;
  if (number >= Tables::kClientsMax)
    return fail(Errc::kNoSpace, "there are already " + std::to_string(Tables::kClientsMax - 1) +
                                    " clients; disconnect one");
  if (number == clients_.size()) clients_.emplace_back();
  auto client = std::make_shared<Client>(number, identity, is_shared_pool, next_random(salt_state_),
                                         next_random(epoch_state_));
  apply(*client, settings);
  tables_.set_client(number, client.get());
  clients_[number] = client;
  return client;
}

Result<ClientRef> Registry::add(const ClientIdentity& identity, const ClientSettings& settings,
                                uint64_t room_bytes) {
  const std::lock_guard lock(mutex_);
  for (const ClientRef& c : clients_)
    if (c && c->live && !c->is_shared_pool && c->identity.uuid == identity.uuid)
      return fail(Errc::kConflict,
                  "a client with this uuid is connected as number " + std::to_string(c->number));
  const uint64_t others = guaranteed_locked(nullptr);
  if (others + settings.guarantee_bytes > room_bytes)
    return fail(Errc::kNoSpace, "a guarantee of " + mib_text(settings.guarantee_bytes) +
                                    " does not fit: " + mib_text(others) + " of " +
                                    mib_text(room_bytes) +
                                    " are guaranteed to others; lower a guarantee or give the pool "
                                    "more memory");
  return add_locked(identity, settings, false);
}

Result<void> Registry::configure(Client& client, const ClientSettings& settings,
                                 uint64_t room_bytes) {
  const std::lock_guard lock(mutex_);
  if (!client.live) return fail(Errc::kNotFound, "the client is gone");
  const uint64_t others = guaranteed_locked(&client);
  if (others + settings.guarantee_bytes > room_bytes)
    return fail(Errc::kNoSpace, "a guarantee of " + mib_text(settings.guarantee_bytes) +
                                    " does not fit: " + mib_text(others) + " of " +
                                    mib_text(room_bytes) + " are guaranteed to others");
  apply(client, settings);
  return {};
}

bool Registry::remove(Client& client) {
  const std::lock_guard lock(mutex_);
  return client.live.exchange(false);
}

void Registry::retire(Client& client) {
  const std::lock_guard lock(mutex_);
  tables_.set_client(client.number, nullptr);
  clients_[client.number] = nullptr;
}

ClientRef Registry::find(uint32_t number) const {
  const std::lock_guard lock(mutex_);
  if (number >= clients_.size() || !clients_[number] || !clients_[number]->live) return nullptr;
  return clients_[number];
}

std::vector<ClientRef> Registry::live() const {
  std::vector<ClientRef> result = all();
  std::erase_if(result, [](const ClientRef& c) { return !c->live; });
  return result;
}

std::vector<ClientRef> Registry::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<ClientRef> result;
  result.reserve(clients_.size());
  for (const ClientRef& c : clients_)
    if (c) result.push_back(c);
  return result;
}

Result<ClientRef> Registry::join_shared(const Uuid& pool, Client& client) {
  const std::lock_guard lock(mutex_);
  const bool granted = std::any_of(grants_.begin(), grants_.end(), [&](const SharedGrant& g) {
    return g.pool == pool && g.client == client.identity.uuid;
  });
  if (!granted) return fail(Errc::kDenied, "the client is not authorised for this shared pool");
  for (const ClientRef& c : clients_) {
    if (c && c->live && c->is_shared_pool && c->identity.uuid == pool) {
      ++c->members;
      return c;
    }
  }
  TMEM_TRY(ClientRef shared, add_locked({pool, DomId{}, "shared"}, {}, true));
  shared->members = 1;
  return shared;
}

bool Registry::leave_shared(Client& shared) {
  const std::lock_guard lock(mutex_);
  return --shared.members == 0 && shared.live.exchange(false);
}

void Registry::authorise(const SharedGrant& grant, bool allowed) {
  const std::lock_guard lock(mutex_);
  std::erase_if(grants_, [&](const SharedGrant& g) {
    return g.pool == grant.pool && g.client == grant.client;
  });
  if (allowed) grants_.push_back(grant);
}

std::vector<SharedGrant> Registry::grants() const {
  const std::lock_guard lock(mutex_);
  return grants_;
}

std::vector<Owner*> Registry::scopes() const {
  const std::lock_guard lock(mutex_);
  std::vector<Owner*> result{&host_};
  for (const auto& [name, owner] : groups_) result.push_back(owner.get());
  return result;
}

Owner* Registry::scope(uint32_t domain) const {
  for (Owner* owner : scopes())
    if (owner->number == domain) return owner;
  return nullptr;
}

}  // namespace tmem::store
