// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/tax_collector.h"

#include "tmemd/arbiter/pool_use.h"

namespace tmem::arbiter {

void TaxCollector::turn(uint64_t now_ms) {
  if (now_ms < due_ms_) return;
  due_ms_ = now_ms + kPeriodMs;
  std::vector<store::ClientRef> clients;
  std::vector<policy::TaxInput> inputs;
  for (const store::ClientStats& stats : store_.all_client_stats()) {
    const store::ClientRef client = store_.find_client(stats.number);
    // A shared pool's pages are put and got by its members: their counters have them.
    if (client == nullptr || stats.is_shared_pool) continue;
    policy::TaxInput input;
    input.client = {stats.number, store::Store::epoch(*client)};
    input.weight = stats.settings.weight;
    input.use = pool_use_of(stats);
    clients.push_back(client);
    inputs.push_back(input);
  }
  const std::vector<uint32_t> weights = tax_.weights(inputs);
  for (size_t i = 0; i < clients.size(); ++i) store_.tax(*clients[i], weights[i]);
}

}  // namespace tmem::arbiter
