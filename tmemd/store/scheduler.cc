// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/store/scheduler.h"

#include <algorithm>

namespace tmem::store {
namespace {

__extension__ using Product = unsigned __int128;

bool further_over(const Holding& a, const Holding& b) {
  if ((a.weight == 0) != (b.weight == 0)) return a.weight == 0;
  if (a.weight == 0) return a.used_bytes > b.used_bytes;
  return Product{a.used_bytes} * b.weight > Product{b.used_bytes} * a.weight;
}

}  // namespace

std::vector<Client*> victims(const std::vector<Holding>& holdings) {
  uint64_t used_bytes = 0;
  uint64_t weights = 0;
  for (const Holding& h : holdings) {
    used_bytes += h.used_bytes;
    weights += h.weight;
  }
  std::vector<Holding> over;
  for (const Holding& h : holdings) {
    if (h.used_bytes == 0) continue;
    if (h.weight == 0 || Product{h.used_bytes} * weights > Product{used_bytes} * h.weight)
      over.push_back(h);
  }
  std::sort(over.begin(), over.end(), further_over);
  std::vector<Client*> clients;
  clients.reserve(over.size());
  for (const Holding& h : over) clients.push_back(h.client);
  return clients;
}

uint64_t entitled_bytes(uint32_t weight, uint64_t weights, uint64_t ephemeral_bytes) {
  if (weights == 0) return 0;
  return static_cast<uint64_t>(Product{ephemeral_bytes} * weight / weights);
}

}  // namespace tmem::store
