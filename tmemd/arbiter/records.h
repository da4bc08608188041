// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's part of a tick's record.
#pragma once
#include <algorithm>

#include "policy/loop.h"

namespace tmem::arbiter {

inline policy::GuestId policy_id(DomId id) {
  return policy::GuestId{static_cast<uint32_t>(id)};
}

// Null: that tick did not know it.
inline const policy::GuestRecord* record_of(const policy::TickRecord& tick, policy::GuestId id) {
  const auto found = std::ranges::find(
      tick.guests, id, [](const policy::GuestRecord& guest) { return guest.input.facts.id; });
  return found == tick.guests.end() ? nullptr : &*found;
}

}  // namespace tmem::arbiter
