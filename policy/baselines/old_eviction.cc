// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/baselines/old_eviction.h"

namespace tmem::policy::baselines {
namespace {

struct Totals {
  uint64_t pages = 0;
  uint64_t weights = 0;
};

Totals totals_of(std::span<const EphemeralClient> clients) {
  Totals totals;
  for (const EphemeralClient& client : clients) {
    totals.pages += client.pages;
    totals.weights += client.weight;
  }
  return totals;
}

std::optional<ClientIndex> with_oldest_page(std::span<const EphemeralClient> clients) {
  std::optional<ClientIndex> oldest;
  for (ClientIndex i = 0; i < clients.size(); ++i)
    if (clients[i].pages > 0 && (!oldest || clients[i].oldest_put < clients[*oldest].oldest_put))
      oldest = i;
  return oldest;
}

bool is_above_share(const EphemeralClient& client, const Totals& totals) {
  return client.pages * totals.weights > totals.pages * client.weight;
}

// Without a weight or a page a client has no quota.
bool has_quota(const EphemeralClient& client) {
  return client.weight > 0 && client.pages > 0;
}

bool is_over_quota_as_shipped(const EphemeralClient& client, const Totals& totals) {
  return totals.pages * 100 / client.pages > totals.weights * 100 / client.weight;
}

// More pages for each unit of weight; without weight more than any with.
bool has_more_for_weight(const EphemeralClient& a, const EphemeralClient& b) {
  if (a.weight == 0 && b.weight == 0) return a.pages > b.pages;
  return a.pages * b.weight > b.pages * a.weight;
}

}  // namespace

std::optional<ClientIndex> victim_as_documented(std::span<const EphemeralClient> clients,
                                                std::optional<ClientIndex> requester) {
  if (requester && has_quota(clients[*requester]) &&
      is_above_share(clients[*requester], totals_of(clients)))
    return requester;
  return with_oldest_page(clients);
}

std::optional<ClientIndex> victim_as_shipped(std::span<const EphemeralClient> clients,
                                             std::optional<ClientIndex> requester) {
  if (requester && has_quota(clients[*requester]) &&
      is_over_quota_as_shipped(clients[*requester], totals_of(clients)))
    return requester;
  return with_oldest_page(clients);
}

std::optional<ClientIndex> victim_corrected(std::span<const EphemeralClient> clients) {
  const Totals totals = totals_of(clients);
  std::optional<ClientIndex> most;
  for (ClientIndex i = 0; i < clients.size(); ++i)
    if (is_above_share(clients[i], totals) &&
        (!most || has_more_for_weight(clients[i], clients[*most])))
      most = i;
  return most ? most : with_oldest_page(clients);
}

}  // namespace tmem::policy::baselines
