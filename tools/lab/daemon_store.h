// SPDX-License-Identifier: GPL-2.0-or-later
// The page stores of the guests and the host's view of the pool, in a running tmemd: through
// libtmem and the control socket.
#pragma once
#include <memory>
#include <string>

#include "libtmem/base/result.h"
#include "tmem/control.hpp"
#include "tools/lab/page_store.h"

namespace tmem::lab {

// Connects as "guest-<number>".
Result<std::unique_ptr<PageStore>> connect_guest(const std::string& socket, uint32_t number);

class DaemonPool final : public PoolHost {
 public:
  static Result<std::unique_ptr<DaemonPool>> connect(const std::string& socket);

  Result<void> set_budget(uint64_t budget_bytes) override;
  Result<void> advance(uint64_t step_ms) override;
  // As of the last advance().
  Result<PoolStats> stats() override { return stats_; }

 private:
  explicit DaemonPool(control::Client client) : client_(std::move(client)) {}

  control::Client client_;
  PoolStats stats_;
};

}  // namespace tmem::lab
