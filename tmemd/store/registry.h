// SPDX-License-Identifier: GPL-2.0-or-later
// Who exists: clients by number, dedup scopes, and who may join which shared pool.
//
// Thread safety: all calls from any thread; one mutex, taken before any lock of the store.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "libtmem/base/result.h"
#include "tmemd/store/client.h"
#include "tmemd/store/store.h"
#include "tmemd/store/tables.h"

namespace tmem::store {

class Registry {
 public:
  // `seed` makes the clients' secret salts, `epoch` their public epochs.
  Registry(Tables& tables, uint64_t seed, uint64_t epoch);

  // `room_bytes`: what guarantees may take together.
  Result<ClientRef> add(const ClientIdentity& identity, const ClientSettings& settings,
                        uint64_t room_bytes);
  Result<void> configure(Client& client, const ClientSettings& settings, uint64_t room_bytes);
  // Forgets a client that holds nothing any more; its number may be given again.
  void retire(Client& client);
  // Marks it as gone. False if it was already.
  bool remove(Client& client);

  ClientRef find(uint32_t number) const;
  std::vector<ClientRef> live() const;  // by number
  std::vector<ClientRef> all() const;   // with those whose pages are still being reclaimed
  uint64_t guaranteed_bytes() const;

  // The shared pool's client, made when it is not there: kDenied unless granted to `client`.
  Result<ClientRef> join_shared(const Uuid& pool, Client& client);
  // Marks it as gone with its last member, before anybody can join again. True if that was done:
  // the caller then takes its pages away.
  bool leave_shared(Client& shared);

  void authorise(const SharedGrant& grant, bool allowed);
  std::vector<SharedGrant> grants() const;

  std::vector<Owner*> scopes() const;
  // The scope whose domain number a content carries; null for a client's own.
  Owner* scope(uint32_t domain) const;

 private:
  static constexpr uint32_t kHostScope = 0;
  static constexpr uint32_t kScopeNumbersTop = (1u << 20) - 1;  // groups: downwards from here

  Result<ClientRef> add_locked(const ClientIdentity& identity, const ClientSettings& settings,
                               bool is_shared_pool);
  void apply(Client& client, const ClientSettings& settings);
  Owner* dedup_owner(Client& client, const ClientSettings& settings);
  uint64_t guaranteed_locked(const Client* except) const;

  Tables& tables_;
  mutable std::mutex mutex_;  // guards all below
  uint64_t salt_state_;
  uint64_t epoch_state_;
  std::vector<ClientRef> clients_;  // by number; null: free
  mutable Owner host_{kHostScope, nullptr};
  std::map<std::string, std::unique_ptr<Owner>> groups_;
  std::vector<SharedGrant> grants_;
};

}  // namespace tmem::store
