// SPDX-License-Identifier: GPL-2.0-or-later
// A store on its own memory with a clock that stands still, for the unit tests.
#pragma once
#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "libtmem/base/clock.h"
#include "tests/model/rng.h"
#include "tmemd/memory/memfd.h"
#include "tmemd/store/store.h"

namespace tmem::store {

using Page = std::array<std::byte, kPageBytes>;

// Every word is `word`.
inline Page same_filled(uint64_t word) {
  Page page;
  for (size_t i = 0; i < kPageBytes; i += 8) std::memcpy(&page[i], &word, 8);
  return page;
}

// Random bytes: nothing compresses them. Different numbers, different pages.
inline Page noise(uint64_t number) {
  Page page;
  model::Rng rng(number);
  for (size_t i = 0; i < kPageBytes; i += 8) {
    const uint64_t word = rng.next();
    std::memcpy(&page[i], &word, 8);
  }
  return page;
}

// LZ4 halves it at least, zstd does better: letters of a small alphabet, the second half repeats
// the first.
inline Page text(uint64_t number) {
  Page page;
  model::Rng rng(number);
  for (size_t i = 0; i < kPageBytes / 2; ++i)
    page[i] = page[i + kPageBytes / 2] = static_cast<std::byte>('a' + rng.below(6));
  return page;
}

inline Key key(uint32_t pool, uint64_t object, uint32_t index) {
  return {PoolId{pool}, {{object, 0, 0}}, index};
}

inline Uuid uuid_of(uint8_t number) {
  Uuid uuid{};
  uuid[15] = number;
  return uuid;
}

inline constexpr PoolSpec kEphemeralPool = {};
inline constexpr PoolSpec kPersistentPool = {
    .kind = Kind::kPersistent, .shared = false, .uuid = {}};
inline PoolSpec shared_pool(uint8_t number) {
  return {.kind = Kind::kEphemeral, .shared = true, .uuid = uuid_of(number)};
}

// No object of this struct moves: store and provider refer to it.
struct World {
  explicit World(const Options& options = {}, uint64_t provider_bytes = 0) {
    auto made = memory::create_memfd_provider(
        {.bytes_max = std::max(provider_bytes, options.budget_bytes)});
    REQUIRE(made);
    provider = *std::move(made);
    open(options);
  }
  World(const Options& options, std::unique_ptr<memory::SlotProvider> made)
      : provider(std::move(made)) {
    open(options);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // A client with an ephemeral pool 0 and a persistent pool 1.
  ClientRef add(uint8_t number, const ClientSettings& settings = {}) {
    auto client = store->add_client({uuid_of(number), DomId{number}, "guest"}, settings);
    REQUIRE(client);
    REQUIRE(store->create_pool(**client, PoolId{0}, kEphemeralPool) == Status::kOk);
    REQUIRE(store->create_pool(**client, PoolId{1}, kPersistentPool) == Status::kOk);
    return *client;
  }

  Status put(const ClientRef& client, const Key& where, const Page& page) {
    return store->put(worker, *client, where, page);
  }
  Status get(const ClientRef& client, const Key& where) {
    return store->get(worker, *client, where, buffer);
  }
  bool get_is(const ClientRef& client, const Key& where, const Page& page) {
    buffer = {};
    return get(client, where) == Status::kOk && buffer == page;
  }
  Status flush(const ClientRef& client, const Key& where) {
    return store->flush_page(worker, *client, where);
  }
  uint64_t pages(const ClientRef& client, Kind kind) {
    return store->client_stats(*client).pages[static_cast<size_t>(kind)];
  }
  uint64_t charged(const ClientRef& client, Kind kind) {
    return store->client_stats(*client).charged_bytes[static_cast<size_t>(kind)];
  }
  // All background work that is due now. False if it does not end.
  bool settle() {
    for (int i = 0; i < 1'000'000; ++i)
      if (!store->maintain(worker, 64)) return true;
    return false;
  }
  std::string invariants() const { return store->check_invariants().value_or("hold"); }

  ManualClock clock;
  std::unique_ptr<memory::SlotProvider> provider;
  std::unique_ptr<Store> store;
  Worker worker;
  Page buffer{};

 private:
  void open(const Options& options) {
    auto created = Store::create(options, *provider, clock, 42);
    REQUIRE(created);
    store = *std::move(created);
  }
};

}  // namespace tmem::store
