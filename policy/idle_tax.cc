// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/idle_tax.h"

#include <algorithm>
#include <cmath>

namespace tmem::policy {
namespace {

constexpr double kTaxMax = 10;
// A minute with fewer puts and hits says nothing of a client: 1 MiB.
constexpr uint64_t kPagesMin = 256;
// Where all together get no more than this part of their puts, nobody is better than the others.
constexpr double kUseRatioMin = 0.01;

uint64_t since(uint64_t before, uint64_t now) {
  return now > before ? now - before : 0;
}

uint32_t taxed(uint32_t weight, double use) {
  const double effective = weight / (use + kTaxMax * (1 - use));
  return weight == 0 ? 0 : std::max(1u, static_cast<uint32_t>(std::lround(effective)));
}

}  // namespace

std::vector<uint32_t> IdleTax::weights(std::span<const TaxInput> inputs) {
  std::map<TaxedClient, Client> followed;
  double used = 0;
  double traffic = 0;
  for (const TaxInput& input : inputs) {
    const auto old = clients_.find(input.client);
    Client client = old == clients_.end() ? Client{} : old->second;
    const uint64_t puts = since(client.puts, input.use.ephemeral_puts);
    const uint64_t hits = since(client.hits, input.use.ephemeral_hits);
    client.puts = input.use.ephemeral_puts;
    client.hits = input.use.ephemeral_hits;
    if (puts + hits >= kPagesMin) {
      const auto most = static_cast<double>(std::max(puts, hits));
      const double now = static_cast<double>(hits) / most;
      client.use_ratio = client.judged ? (client.use_ratio + now) / 2 : now;
      client.traffic = client.judged ? (client.traffic + most) / 2 : most;
      client.judged = true;
    }
    used += client.use_ratio * client.traffic;
    traffic += client.traffic;
    followed[input.client] = client;
  }
  clients_ = std::move(followed);
  const double mean = traffic > 0 ? used / traffic : 0;
  std::vector<uint32_t> weights;
  for (const TaxInput& input : inputs) {
    const Client& client = clients_.at(input.client);
    const bool free = !client.judged || mean < kUseRatioMin;
    weights.push_back(taxed(input.weight, free ? 1 : std::min(1.0, client.use_ratio / mean)));
  }
  return weights;
}

}  // namespace tmem::policy
