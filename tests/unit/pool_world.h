// SPDX-License-Identifier: GPL-2.0-or-later
// A fake machine with a pool domain on it that can be opened, crashed and opened again.
#pragma once
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fake_xen_memory.h"
#include "tmemd/memory/xen/pool_domain.h"

namespace tmem::memory::xen {

struct PoolWorld {
  explicit PoolWorld(size_t extents = 8) : xen(extents) {
    std::string name = "/tmp/tmem-pool-lock-XXXXXX";
    const UniqueFd fd(mkstemp(name.data()));
    options.lock_path = name;
    options.lock_patience = std::chrono::milliseconds{0};
    options.bytes_max = 6 * kSlotBytes;
  }
  PoolWorld(const PoolWorld&) = delete;
  PoolWorld& operator=(const PoolWorld&) = delete;
  ~PoolWorld() { (void)unlink(options.lock_path.c_str()); }

  Result<std::unique_ptr<PoolDomain>> try_open() {
    auto made = std::make_unique<FakeHypervisor>(xen);
    hypervisor = made.get();
    return PoolDomain::open(std::move(made), xen, options);
  }
  std::unique_ptr<PoolDomain> open() {
    auto pool = try_open();
    INFO((pool ? std::string() : pool.error().message));
    REQUIRE(pool);
    return *std::move(pool);
  }

  FakeXen xen;
  PoolDomainOptions options;
  FakeHypervisor* hypervisor = nullptr;  // of the last open()
};

inline std::span<std::byte> bytes_of(const PoolDomain& pool, SlotId slot) {
  return {pool.base() + static_cast<size_t>(slot) * kSlotBytes, kSlotBytes};
}

// Each page of each slot has other contents.
inline void fill(const PoolDomain& pool, SlotId slot, uint64_t seed) {
  for (size_t page = 0; page < kFramesPerSlot; ++page) {
    const uint64_t word = (seed << 32) + page + 1;
    std::memcpy(bytes_of(pool, slot).data() + page * kPageBytes, &word, sizeof(word));
    std::memcpy(bytes_of(pool, slot).data() + page * kPageBytes + 4000, &word, sizeof(word));
  }
}

inline bool holds(const PoolDomain& pool, SlotId slot, uint64_t seed) {
  for (size_t page = 0; page < kFramesPerSlot; ++page) {
    const uint64_t word = (seed << 32) + page + 1;
    for (const size_t offset : {size_t{0}, size_t{4000}})
      if (std::memcmp(bytes_of(pool, slot).data() + page * kPageBytes + offset, &word,
                      sizeof(word)) != 0)
        return false;
  }
  return true;
}

}  // namespace tmem::memory::xen
