// SPDX-License-Identifier: GPL-2.0-or-later
// The host's memory: one fixed sum for all configurations. Guests' pages, the pool with its
// metadata, and what is free never exceed it; the pool's budget is whatever the guests do not have.
#pragma once
#include <cstdint>
#include <vector>

#include "tools/lab/guest.h"
#include "tools/lab/page_store.h"

namespace tmem::lab {

class HostMemory {
 public:
  // `pool` is null without tmem; both must outlive this.
  HostMemory(const Parameters& parameters, const Model& model,
             const std::vector<std::unique_ptr<Guest>>& guests, PoolHost* pool);

  uint64_t total_bytes() const { return uint64_t{total_pages_} * kPageBytes; }
  uint64_t guests_bytes() const;
  // What the guests do not have: the pool's budget.
  uint64_t rest_bytes() const { return total_bytes() - guests_bytes(); }

  // Sets the pool's budget for the first time.
  Result<void> start();
  // One tick of a guest's self-balloon.
  Result<void> balloon(Guest& guest);
  // Errors: kConflict when guests and pool together have more than the host.
  Result<void> check(const PoolStats& pool) const;

 private:
  Result<void> grow(Guest& guest, uint32_t pages);
  // Frees memory for `pages` more of a guest's: returns how many it got.
  Result<uint32_t> take_from_pool(uint32_t pages);

  const Parameters& parameters_;
  const Model& model_;
  const std::vector<std::unique_ptr<Guest>>& guests_;
  PoolHost* pool_;
  uint32_t total_pages_;
};

}  // namespace tmem::lab
