// SPDX-License-Identifier: GPL-2.0-or-later
// The pool's memory as the configuration wants it: a memfd, or the pool domain with what belongs to
// it (its place in xenstore, the keeper that fits it to what Xen has free).
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "libtmem/base/clock.h"
#include "libtmem/base/result.h"
#include "tmemd/arbiter/arbiter.h"
#include "tmemd/control/config.h"
#include "tmemd/fallow/keeper.h"
#include "tmemd/log.h"
#include "tmemd/memory/slot_provider.h"
#include "tmemd/memory/xen/native.h"
#include "tmemd/memory/xen/pool_domain.h"
#include "tmemd/pool_nodes.h"
#include "tmemd/store/store.h"

namespace tmem {

// Thread safety: describe() and the wishes from any thread; the rest by the owner.
class PoolMemory {
 public:
  // `may_use_xen`: false where time is simulated. Errors: as of the providers; with provider "auto"
  // what a pool domain lacks is only logged.
  static Result<std::unique_ptr<PoolMemory>> open(const control::Config& config, bool may_use_xen,
                                                  const LogSink& log);
  // The orderly end: a pool domain is destroyed. The store is gone before.
  ~PoolMemory();
  PoolMemory(const PoolMemory&) = delete;
  PoolMemory& operator=(const PoolMemory&) = delete;

  memory::SlotProvider& slots();
  // For the store's start.
  uint64_t budget_bytes() const { return budget_bytes_; }
  // How much of this domain's own memory the index of a pool domain may take.
  uint64_t heap_bytes_max() const { return heap_bytes_max_; }

  // Fits a pool domain to what Xen has free, until stop_keeping(). `on_lost`: once, from the
  // keeper's thread, when somebody destroyed the pool domain. Nothing to do for a memfd.
  Result<void> keep(store::Store& store, const Clock& clock, std::function<void()> on_lost);
  void stop_keeping() { keeper_.reset(); }

  nlohmann::json describe(const store::Store& store) const;
  // So that host_share() can be asked for a memfd too. Errors: as memory::xen::open_host_memory().
  Result<void> watch_host();
  // What guests may have of the host's memory follows from it.
  Result<arbiter::HostShare> host_share(const store::Store& store) const;
  // What the policy can get from the guests for a wish; 0 while it sets no targets. Any thread.
  void set_guests_bytes(uint64_t bytes) { guests_bytes_ = bytes; }
  // Errors: kConflict for a memfd; as Keeper::make_room.
  Result<void> make_room(uint64_t bytes, uint64_t hold_ms);
  void cancel_room();

 private:
  PoolMemory(const control::Config& config, LogSink log);
  Result<void> open_memfd();
  Result<void> open_domain();
  void warn_of_guarantees(const control::Config& config);
  Result<void> publish();
  void answer_toolstack();

  const control::PoolConfig config_;
  const uint64_t size_bytes_;  // as configured
  const LogSink log_;
  uint64_t budget_bytes_ = 0;
  uint64_t heap_bytes_max_ = store::kNoHeapMax;
  std::unique_ptr<memory::SlotProvider> memfd_;  // or what follows
  std::unique_ptr<memory::xen::HostMemory> host_;
  std::unique_ptr<memory::xen::LowMemoryEvent> low_memory_;  // null: somebody else has it
  std::unique_ptr<memory::xen::PoolDomain> domain_;
  std::optional<PoolNodes> nodes_;
  std::atomic<uint64_t> guests_bytes_{0};
  std::unique_ptr<fallow::Keeper> keeper_;
};

}  // namespace tmem
