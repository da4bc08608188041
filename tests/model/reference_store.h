// SPDX-License-Identifier: GPL-2.0-or-later
// The contract of the store's operations as the shortest program that keeps it: maps, one thread.
// It judges: each call takes the answer of the store under test, explains what is wrong with it,
// or takes it as evidence (an ephemeral page that missed is gone).
//
// What may be gone is known exactly: every page carries the tick of its last proof of life, and
// every pool the last tick at which eviction may have taken pages from it. In a store that is
// never short of memory (`Regime::kAmple`) that is after evict(), at a cap, or when another member
// leaves a shared pool; otherwise (`kTight`) always, for ephemeral pages.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tests/model/contents.h"
#include "tests/model/operation.h"
#include "tmemd/store/store.h"

namespace tmem::model {

enum class Regime : uint8_t { kAmple, kTight };

// Nothing, or what is wrong with an answer.
using Verdict = std::optional<std::string>;

class ReferenceStore {
 public:
  ReferenceStore(Regime regime, const Contents& contents);

  // To be called before each of the calls below that tell of an operation.
  void next_tick() { ++tick_; }

  // ---- Answers to operations of a client. `page` is what a get wrote. ----
  Verdict create_pool(const Operation& op, store::Status status);
  Verdict destroy_pool(const Operation& op, store::Status status);
  Verdict flush_pool(const Operation& op, store::Status status);
  Verdict put(const Operation& op, store::Status status);
  Verdict get(const Operation& op, store::Status status, store::PageBytes page);
  Verdict flush_page(const Operation& op, store::Status status);
  Verdict flush_object(const Operation& op, store::Status status);

  // ---- What the administrator did ----
  void add_client(uint32_t client, const store::ClientSettings& settings);
  void remove_client(uint32_t client);
  void configure(uint32_t client, const store::ClientSettings& settings);
  void authorise(const Operation& op);
  // Any ephemeral page may be gone now.
  void evict();
  // All private ephemeral pages of the client are gone. `dropped`: what the store says it dropped.
  Verdict evict_client(uint32_t client, uint64_t dropped);

  // All background work that was due is done: nothing flushed is counted any more.
  void settled();

  // ---- What is known ----
  bool alive(uint32_t client) const { return clients_[client].alive; }
  const store::ClientSettings& settings(uint32_t client) const { return clients_[client].settings; }
  // Pages of its private pools; the ephemeral ones at most, the persistent ones exactly.
  uint64_t pages(uint32_t client, store::Kind kind) const;
  uint64_t shared_pages_at_most() const;
  // False if any page of the client may be gone, so that pages() is only an upper bound.
  bool exact(uint32_t client) const;
  // Pages of the client that must be there, as gets, for a sweep at the end of a run.
  std::vector<Operation> all_pages(uint32_t client) const;
  std::optional<store::PoolSpec> pool(const Operation& op) const;

 private:
  struct Page {
    ContentId content{};
    uint64_t alive_at = 0;
  };
  struct Pool {
    store::PoolSpec spec;
    std::map<std::array<uint64_t, 3>, std::map<uint32_t, Page>> objects;
    uint64_t pages = 0;
    uint64_t evicted_at = 0;  // pages alive at or before this tick may be gone
    uint32_t members = 1;
  };
  struct Client {
    bool alive = false;
    store::ClientSettings settings;
    // Pages that flushes of objects and pools took and that may still count against the cap and
    // the guarantee, until settled().
    uint64_t dying = 0;
    std::map<uint32_t, std::shared_ptr<Pool>> pools;  // shared ones are owned by all members
  };
  enum class Presence : uint8_t { kNo, kMaybe, kYes };

  Pool* find(const Operation& op);
  static Page* find(Pool& pool, const store::Key& key);
  Presence presence(const Pool& pool, const Page* page) const;
  static void erase(Pool& pool, const store::Key& key);
  void leave(Client& client, uint32_t pool);
  bool may_refuse(const Client& client, const Pool& pool, bool overwrite) const;
  void may_evict(Client& client);
  static uint64_t pages(const Client& client, store::Kind kind);
  // Of both kinds, with those that are dying.
  static uint64_t counted(const Client& client);

  const Regime regime_;
  const Contents& contents_;
  uint64_t tick_ = 1;
  std::array<Client, kClientsMax> clients_;
  std::map<Uuid, std::weak_ptr<Pool>> shared_;
  std::map<std::pair<Uuid, Uuid>, bool> authorised_;  // (pool, client)
};

}  // namespace tmem::model
