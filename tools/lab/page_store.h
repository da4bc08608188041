// SPDX-License-Identifier: GPL-2.0-or-later
// What the simulation needs of transcendent memory: a guest's side (cleancache, frontswap) and the
// host's. Implemented by libtmem and a real tmemd (daemon_store.h), and by a map in the unit tests.
#pragma once
#include <cstdint>
#include <span>

#include "libtmem/base/result.h"
#include "tools/lab/file_source.h"

namespace tmem::lab {

enum class StoreOp : uint8_t { kPut, kGet, kFlushPage, kFlushObject };

struct PageOp {
  StoreOp op = StoreOp::kPut;
  uint32_t pool = 0;
  uint64_t object = 0;
  uint32_t index = 0;
  std::byte* page = nullptr;  // kPageBytes; put reads it, get writes it on success
  bool ok = false;            // out: stored, found
};

// One guest's connection. Not thread-safe.
class PageStore {
 public:
  virtual ~PageStore() = default;
  virtual Result<void> create_pool(uint32_t pool, bool persistent) = 0;
  // Runs the operations in order. An error means that the store is gone: no op has a result.
  virtual Result<void> run(std::span<PageOp> ops) = 0;
};

struct PoolStats {
  uint64_t budget_bytes = 0;
  uint64_t held_bytes = 0;  // contents and metadata
  uint64_t pages = 0;       // as the guests see them
  uint64_t lz4_pages = 0;   // compressions ever done
  uint64_t zstd_pages = 0;
  uint64_t compressed_pages = 0;  // contents held compressed now
  uint64_t contents = 0;          // contents held now
  uint64_t evicted_pages = 0;
};

// The host's view of the pool. Not thread-safe.
class PoolHost {
 public:
  virtual ~PoolHost() = default;
  // Errors: kNoSpace when pages that may not be dropped do not fit; the budget then stays.
  virtual Result<void> set_budget(uint64_t budget_bytes) = 0;
  // Moves the pool's clock on and does all background work that is then due.
  virtual Result<void> advance(uint64_t step_ms) = 0;
  virtual Result<PoolStats> stats() = 0;
};

}  // namespace tmem::lab
