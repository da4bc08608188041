// SPDX-License-Identifier: LGPL-2.1-or-later
// A connected client: runs operations over its queues and waits for the answers.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "libtmem/src/queue.h"
#include "libtmem/src/session.h"

namespace tmem::client {

// Thread safety: every method from any thread.
class Client {
 public:
  Client(Session session, uint32_t timeout_ms);

  uint32_t number() const { return session_.client_number; }
  uint64_t store_epoch() const { return session_.store_epoch; }

  // Runs `ops`; every status is set on return. The result is that of tmem_batch.
  int run(std::span<tmem_batch_op> ops);
  // A pool operation: waits until all queues are drained, then sends on queue 0.
  int run_pool(const tmem_request& wire);

 private:
  friend class Run;
  uint32_t queue_of(const tmem_key& key) const;
  Operation operation_for(tmem_batch_op& op) const;
  // The connection is unusable from now on; later calls return `error`. Returns `error`.
  int give_up(int error);
  int dead() const { return dead_.load(std::memory_order_relaxed); }

  Session session_;
  const int timeout_ms_;
  const bool may_spin_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::atomic<uint32_t> persistent_pools_{0};  // bit p: pool p was created persistent
  std::atomic<int> dead_{0};                   // 0, or the negative errno that ended it
  // How long waiting spins before it sleeps: grows while spinning pays, else shrinks to 0.
  std::atomic<uint32_t> spin_ns_;
  std::atomic<uint32_t> sleeps_{0};
};

}  // namespace tmem::client
