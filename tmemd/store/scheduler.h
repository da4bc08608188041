// SPDX-License-Identifier: GPL-2.0-or-later
// The weighted FIFO, corrected: whose oldest ephemeral pages go next.
//
// A client's entitlement is weight / sum of weights of the ephemeral memory in use. It is over iff
//   used * W > E * weight          (128-bit products; E, W: sums over live clients)
// and the victim is the client with the largest used / weight among those over. An idle client's
// share is lent: nobody evicts while memory is free, and who demands its share back is under, so
// that others are evicted. Weight 0 means "only while memory is free": always first to go.
//
// Xen's tmem had this test inverted and evicted only from the requester or the globally oldest.
#pragma once
#include <cstdint>
#include <vector>

namespace tmem::store {

class Client;

struct Holding {
  Client* client = nullptr;
  uint64_t used_bytes = 0;  // ephemeral
  uint32_t weight = 0;
};

// The clients that are over their entitlement, furthest first.
std::vector<Client*> victims(const std::vector<Holding>& holdings);

// weight / sum of weights of `ephemeral_bytes`.
uint64_t entitled_bytes(uint32_t weight, uint64_t weights, uint64_t ephemeral_bytes);

}  // namespace tmem::store
