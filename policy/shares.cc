// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/shares.h"

#include <algorithm>
#include <functional>
#include <map>

namespace tmem::policy {
namespace {

using Wide = unsigned __int128;

uint64_t weight_of(const Claim& claim) {
  return std::max<uint64_t>(claim.weight, 1);
}

// The rest of each member's claim, by weight; takes what it gives from `left`.
void share_among(std::span<const Claim> claims, std::vector<size_t>& members,
                 std::vector<uint64_t>& given, uint64_t& left) {
  const auto more = [&](size_t i) { return claims[i].wanted_bytes - given[i]; };
  // Who asks for least a weight first: then each is met or gets its share of what is left.
  std::ranges::sort(members, [&](size_t a, size_t b) {
    return Wide{more(a)} * weight_of(claims[b]) < Wide{more(b)} * weight_of(claims[a]);
  });
  uint64_t weights = 0;
  for (const size_t i : members) weights += weight_of(claims[i]);
  for (const size_t i : members) {
    const auto part = static_cast<uint64_t>(Wide{left} * weight_of(claims[i]) / weights);
    const uint64_t gets = std::min(more(i), part);
    weights -= weight_of(claims[i]);
    given[i] += gets;
    left -= gets;
  }
}

}  // namespace

std::vector<uint64_t> share(std::span<const Claim> claims, uint64_t total_bytes) {
  std::vector<uint64_t> given;
  std::map<uint32_t, std::vector<size_t>, std::greater<>> by_priority;
  uint64_t left = total_bytes;
  for (size_t i = 0; i < claims.size(); ++i) {
    given.push_back(claims[i].least_bytes);
    left -= std::min(left, claims[i].least_bytes);
    if (claims[i].wanted_bytes > claims[i].least_bytes)
      by_priority[claims[i].priority].push_back(i);
  }
  for (auto& [priority, members] : by_priority) share_among(claims, members, given, left);
  return given;
}

}  // namespace tmem::policy
