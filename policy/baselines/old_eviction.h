// SPDX-License-Identifier: GPL-2.0-or-later
// Whose ephemeral page Xen's own tmem evicted, and whose it should have. Not a strategy: a rule of
// the pool, for simulations.
// Source: Xen 4.0 to 4.12, xen/common/tmem.c (tmem_evict, client_over_quota) and the document
// tmem-internals.html.
//
// Each client has its pages in the order in which it put them. The rules choose the client; its
// oldest page goes. As documented: the client that asks for a page, if its share of all ephemeral
// pages is more than its share of the weights; else who has the oldest page of all. As shipped, the
// comparison was the wrong way round, in whole hundredths, in every release.
//
// Corrected: of the clients above their share the one that has most for its weight; when none is,
// who has the oldest page of all. A client of weight 0 has no share: as soon as another has one it
// is the first.
//
// Bounds, so that products fit: fewer than 2^40 pages and a sum of weights below 2^23.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace tmem::policy::baselines {

struct EphemeralClient {
  uint64_t pages = 0;
  uint64_t weight = 0;
  uint64_t oldest_put = 0;  // number of the put that brought its oldest page; if it has any
};

using ClientIndex = size_t;

// `requester` is empty when memory is wanted for none of the clients. Null when there is no page.
std::optional<ClientIndex> victim_as_documented(std::span<const EphemeralClient> clients,
                                                std::optional<ClientIndex> requester);
std::optional<ClientIndex> victim_as_shipped(std::span<const EphemeralClient> clients,
                                             std::optional<ClientIndex> requester);
std::optional<ClientIndex> victim_corrected(std::span<const EphemeralClient> clients);

}  // namespace tmem::policy::baselines
