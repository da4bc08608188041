// SPDX-License-Identifier: GPL-2.0-or-later
// The page store: pools of pages of many clients in one bounded memory, deduplicated and
// compressed. It knows no transport, thread, log or operating system: memory comes from a
// SlotProvider, time from a Clock.
//
//   put ─► same-filled? ─► fingerprint ─► twin in the dedup scope? ─► else append raw to the
//          client's nursery segment ─► index
//   age ─► raw segment ─► LZ4 ─► zstd;   full ─► drop the oldest segment of the client that is
//          furthest above its weight
//
// Thread safety: every method from any thread; each thread passes a Worker of its own. Operations
// on one key must not race (the transport gives a key one queue); if they do, one of the orders
// happens. No method blocks on I/O. put and get take at most a few page copies, plus reclaim of
// one segment at a time when memory is short.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "libtmem/base/clock.h"
#include "libtmem/base/result.h"
#include "tmemd/memory/slot_provider.h"
#include "tmemd/store/types.h"

namespace tmem::store {

class Client;  // one client's state; owned by the store and by those who hold a ClientRef
class Impl;

using ClientRef = std::shared_ptr<Client>;
using PageBytes = std::span<const std::byte, kPageBytes>;
using PageBuffer = std::span<std::byte, kPageBytes>;

// Scratch memory and codec state of one thread. About 300 KiB. Not to be shared.
class Worker {
 public:
  // `pause` is called between the pages, and the slices, of maintain() and shrink(), where the
  // thread holds no lock that others wait for: it may sleep there, and not call the store.
  explicit Worker(std::function<void()> pause = {});
  ~Worker();
  Worker(Worker&&) noexcept;
  Worker& operator=(Worker&&) = delete;

  struct State;  // the store's own business
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// Whether a client may join the shared pool named by a UUID. Asked at pool creation.
struct SharedGrant {
  Uuid pool{};
  Uuid client{};
};

class Store {
 public:
  // `provider` and `clock` must outlive the store. `seed` keys the fingerprints: random in the
  // daemon, fixed in tests. Errors: kMalformed for options that make no sense (budget under
  // 4 MiB, percentages over 100), kNoSpace if the provider has less than the budget.
  static Result<std::unique_ptr<Store>> create(const Options& options,
                                               memory::SlotProvider& provider, const Clock& clock,
                                               uint64_t seed);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Random, set at creation: another value means that earlier pages are lost.
  uint64_t epoch() const;
  // The same of one client: a client that was removed and added again has another.
  static uint64_t epoch(const Client& client);

  // ---- Clients ----

  // Errors: kConflict if a live client has this uuid; kNoSpace if the guarantee does not fit
  // beside the others' (sum + reserve <= budget) or there are too many clients.
  Result<ClientRef> add_client(const ClientIdentity& identity, const ClientSettings& settings);
  // Its pages become invisible before the call returns; memory comes back in slices of
  // maintain(). Later operations on the ref answer kNoSuchPool. Twice is allowed.
  void remove_client(Client& client);
  // Replaces the settings. Errors as for add_client; the old settings then stay.
  Result<void> configure(Client& client, const ClientSettings& settings);
  // Lets eviction go by a smaller weight than the settings', until the next call or configure().
  void tax(Client& client, uint32_t weight);
  ClientSettings settings(const Client& client) const;
  uint32_t number(const Client& client) const;
  // The live client, or shared pool, with this number; null if there is none.
  ClientRef find_client(uint32_t number) const;

  // ---- Operations of a client ----
  // Statuses as in abi.h. PoolId must be < kPoolsMax.

  Status create_pool(Client& client, PoolId pool, const PoolSpec& spec);
  Status destroy_pool(Client& client, PoolId pool);
  Status flush_pool(Client& client, PoolId pool);

  // `page` must be memory that nobody else writes during the call (copied out of a guest's slot).
  // kNoSpace: refused, and the key is empty now. kFrozen: refused, nothing changed.
  // kCredit spends one credit, whatever the answer; such a put is never kFrozen, and kBadRequest
  // if the pool is ephemeral.
  Status put(Worker& worker, Client& client, const Key& key, PageBytes page,
             Payment payment = Payment::kNone);
  // On kOk all of `out` is written, else none of it. `out` may be memory that a hostile guest
  // writes meanwhile: the bytes may then be garbage, nothing else happens.
  Status get(Worker& worker, Client& client, const Key& key, PageBuffer out);
  Status flush_page(Worker& worker, Client& client, const Key& key);
  Status flush_object(Client& client, PoolId pool, const ObjectId& object);

  // Whether new credits make sense: it lives, is not frozen and has a persistent pool.
  static bool wants_credits(const Client& client);
  // Keeps room for up to `pages` raw pages more, as if the client held them persistently, so that
  // puts paid with them find memory. Returns how many. May acquire some slots.
  uint32_t reserve_credits(Client& client, uint32_t pages);
  // Gives back room that no put will use.
  void release_credits(Client& client, uint32_t pages);

  // Hint: brings the lines that a get or put of `key` will read into the cache.
  void prefetch(const Client& client, const Key& key) const;

  // ---- Administration ----

  // Who may join which shared pool: default nobody.
  void authorise_shared(const SharedGrant& grant, bool allowed);
  std::vector<SharedGrant> shared_grants() const;

  // True: from now on every put of a key that holds nothing is kFrozen, paid or not, and none that
  // began before is under way when the call returns. For an orderly end.
  void refuse_new_pages(bool refuse);
  // Errors: kNoSpace if persistent pages, guarantees and reserve do not fit the new budget, or
  // the provider has less. Shrinking evicts ephemeral pages in later maintain() calls.
  Result<void> set_budget(uint64_t budget_bytes);
  // Drops ephemeral pages, most over-entitled client first, until `bytes` of memory are free and
  // returned to the provider, or none are left. Returns the bytes given back: to a provider that
  // cannot discard only slots that happen to be free (see shrink()).
  uint64_t evict(Worker& worker, uint64_t bytes);
  // Drops all ephemeral pages of one client. Returns pages dropped.
  uint64_t evict_client(Worker& worker, Client& client);

  // ---- Whole slots: memory that the provider's owner wants back ----

  // Bounds the 2 MiB slots held, beside the budget: none is acquired beyond it. What is held above
  // goes by shrink(); meanwhile operations go on in it. Best effort and guarantees of new clients
  // are measured by the limit at once; credits by the slots held, if memory not held can be lost.
  // Slots for promises are acquired by maintain() and kept. Cheap; any value, as often as wanted.
  void set_arena_limit(uint64_t bytes);
  // Works towards the arena limit: gives free slots back, drops ephemeral pages (most over-entitled
  // client first) until what is left fits, and empties slots by moving what is in them. Keeps what
  // persistent pages, guarantees and credits need, whatever the limit. Does about `slices` units
  // of 16 KiB, at most a slot more. One thread works, others are told kMore.
  ShrinkState shrink(Worker& worker, unsigned slices);

  // Background work, in slices: frees what flushes and dead clients left, seals and compresses
  // old segments, cleans holes, enforces budget and caps, returns memory. Does at most about
  // `slices` units of 16 KiB and returns true if there is more to do right now. Several threads
  // may call it at once.
  bool maintain(Worker& worker, unsigned slices);

  StoreStats stats() const;
  ClientStats client_stats(const Client& client) const;
  std::vector<ClientStats> all_client_stats() const;  // by number

  // Checks every invariant that ties records, index, segments and charges together; stops all
  // operations meanwhile. Returns an explanation of the first violation. For tests.
  std::optional<std::string> check_invariants() const;

 private:
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tmem::store
