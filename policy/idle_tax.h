// SPDX-License-Identifier: GPL-2.0-or-later
// Idle tax: a guest that puts ephemeral pages and never reads them again keeps a tenth of its
// weight, so that it does not displace one that does.
//
// Modelled on the idle memory tax of ESX: with u the part of its puts that a guest gets again,
// relative to that part of all guests' puts together and at most 1, its weight counts as
// weight / (u + 10 (1 - u)). Both counts are the store's, so no guest can lie; one that gets its
// own pages for show has at most the weight it was given, and taxes others only as far as it
// outdoes their traffic.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "policy/estimate.h"

namespace tmem::policy {

// The store's number of a client; numbers are used again, so `epoch` tells two clients apart.
struct TaxedClient {
  uint32_t number = 0;
  uint64_t epoch = 0;
  auto operator<=>(const TaxedClient&) const = default;
};

struct TaxInput {
  TaxedClient client;
  uint32_t weight = 0;  // of the administrator
  PoolUse use;          // the ephemeral counters only
};

class IdleTax {
 public:
  // Call it once a minute. The weights that eviction should go by, in the order of `inputs`; each
  // is within [weight / 10, weight], and never 0 unless the weight is.
  std::vector<uint32_t> weights(std::span<const TaxInput> inputs);

 private:
  struct Client {
    uint64_t puts = 0;
    uint64_t hits = 0;
    bool judged = false;   // it did enough, once
    double use_ratio = 0;  // hits of puts; half of it is the last minute's
    double traffic = 0;    // pages a minute; of it, too
  };
  std::map<TaxedClient, Client> clients_;
};

}  // namespace tmem::policy
