// SPDX-License-Identifier: GPL-2.0-or-later
// The share of the host that each guest has if all want all they may have: what it gets whatever it
// says, and what nobody can hold back by saying nothing that makes sense.
#pragma once
#include <span>
#include <vector>

#include "policy/estimate.h"
#include "policy/shares.h"

namespace tmem::policy {

// A guest's claim to `wanted_bytes`, within its own bounds.
Claim claim_of(const Estimate& estimate, uint64_t wanted_bytes);

// In the order of `estimates`; by weight, without regard to priority.
std::vector<uint64_t> entitlements(std::span<const Estimate> estimates, uint64_t capacity_bytes);

// Its share; of who never reported, what it had when it was first seen if that is more: nobody
// knows what it could do without. What it borrowed since is not its own.
uint64_t own_bytes(const Estimate& estimate, uint64_t entitled_bytes);
bool never_reported(const Estimate& estimate);

}  // namespace tmem::policy
