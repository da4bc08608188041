// SPDX-License-Identifier: GPL-2.0-or-later
// How far a guest that sets its own balloon may go: its own demand decides, the host's memory
// bounds it.
#pragma once
#include <map>
#include <set>

#include "policy/loop.h"

namespace tmem::arbiter {

// For each of `autonomous`: what the bounded plan gives it, and its share by weight of what that
// plan leaves of the host. So the sum of all targets and ceilings is within the host, as the plan
// is.
std::map<policy::GuestId, uint64_t> ceilings(const policy::TickRecord& tick,
                                             const std::set<policy::GuestId>& autonomous);

}  // namespace tmem::arbiter
