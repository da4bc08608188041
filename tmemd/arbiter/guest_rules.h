// SPDX-License-Identifier: GPL-2.0-or-later
// From what the administrator wrote to what a strategy is given.
#pragma once
#include "policy/estimate.h"
#include "tmemd/arbiter/settings.h"

namespace tmem::arbiter {

// `ceiling_bytes`: what the toolstack lets the guest have; `pool_weight`: its weight in the pool.
// The result has min <= max <= ceiling.
policy::GuestSettings effective_settings(const GuestRule& rule, uint64_t ceiling_bytes,
                                         uint32_t pool_weight);

}  // namespace tmem::arbiter
