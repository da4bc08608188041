// SPDX-License-Identifier: GPL-2.0-or-later
// Guests for tests of strategies, in MiB, with a strategy's answer as text-free numbers.
#pragma once
#include <optional>
#include <vector>

#include "libtmem/base/units.h"
#include "policy/strategy.h"

namespace tmem::policy::testing {

struct Guest {
  uint32_t id = 0;
  uint64_t min_mib = 0;
  uint64_t max_mib = 0;
  uint64_t actual_mib = 0;
};

// At its target, with an honest report that says nothing but its total.
inline Estimate guest(const Guest& guest) {
  Estimate estimate;
  estimate.facts.id = GuestId{guest.id};
  estimate.facts.settings.min_bytes = guest.min_mib * kMiB;
  estimate.facts.settings.max_bytes = guest.max_mib * kMiB;
  estimate.facts.actual_bytes = guest.actual_mib * kMiB;
  estimate.facts.target_bytes = guest.actual_mib * kMiB;
  estimate.sample.emplace();
  estimate.sample->total_bytes = guest.actual_mib * kMiB;
  return estimate;
}

inline HostView host(uint64_t total_mib, uint64_t free_mib, uint64_t head_room_mib = 0) {
  HostView host;
  host.total_bytes = total_mib * kMiB;
  host.free_bytes = free_mib * kMiB;
  host.head_room_bytes = head_room_mib * kMiB;
  return host;
}

// What the plan says of a guest, if anything.
inline std::optional<uint64_t> target_of(const Plan& plan, uint32_t id) {
  for (const Wish& wish : plan.wishes)
    if (wish.id == GuestId{id}) return wish.target_bytes;
  return std::nullopt;
}

// Every balloon goes where it was told to.
inline void obey(const Plan& plan, std::vector<Estimate>& guests, HostView& host) {
  for (Estimate& guest : guests) {
    const auto target = target_of(plan, static_cast<uint32_t>(guest.facts.id));
    if (!target) continue;
    host.free_bytes += guest.facts.actual_bytes - *target;
    guest.facts.target_bytes = guest.facts.actual_bytes = *target;
    if (guest.sample) guest.sample->total_bytes = *target;
  }
}

}  // namespace tmem::policy::testing
