// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/ceilings.h"

#include <algorithm>

#include "libtmem/base/units.h"
#include "policy/shares.h"
#include "tmemd/arbiter/records.h"

namespace tmem::arbiter {

std::map<policy::GuestId, uint64_t> ceilings(const policy::TickRecord& tick,
                                             const std::set<policy::GuestId>& autonomous) {
  uint64_t left = policy::capacity_bytes(tick.host);
  bool fits = true;
  std::vector<policy::GuestId> ids;
  std::vector<policy::Claim> claims;
  for (const policy::GuestRecord& guest : tick.guests) {
    const policy::GuestFacts& facts = guest.input.facts;
    const uint64_t taken = std::max(guest.bounded.target_bytes, facts.actual_bytes);
    fits = fits && taken <= left;
    left = minus_or_zero(left, taken);
    if (!autonomous.contains(facts.id)) continue;
    ids.push_back(facts.id);
    // Up to its maximum, beside what it has or is given.
    claims.push_back({0, minus_or_zero(facts.settings.max_bytes, taken),
                      facts.settings.share_weight(), facts.settings.priority});
  }
  const std::vector<uint64_t> more = policy::share(claims, fits ? left : 0);
  std::map<policy::GuestId, uint64_t> result;
  for (size_t i = 0; i < ids.size(); ++i) {
    const policy::GuestRecord* const guest = record_of(tick, ids[i]);
    const uint64_t target = guest->bounded.target_bytes;
    // A host that is full takes back what is above the plan.
    result[ids[i]] = fits ? std::max(target, std::min(guest->input.facts.actual_bytes,
                                                      guest->input.facts.settings.max_bytes)) +
                                more[i]
                          : target;
  }
  return result;
}

}  // namespace tmem::arbiter
