// SPDX-License-Identifier: GPL-2.0-or-later
// oVirt's Memory Overcommitment Manager: while the host has less than 20 % free, guests are shrunk
// by at most 5 % a round towards what they use; else they grow by 5 %. Below 5 % it takes more than
// they have free: they shall swap.
// Source: oVirt/mom, doc/balloon.rules. Samples every 5 s, rules every 10 s, over the average of
// the last 10 samples.
//
// The host's free memory, there MemFree + Buffers + Cached, includes what the pool can give back.
// What a guest has unused is its MemFree. A guest without a report keeps its target.
//
// Knob: the share of its memory that a guest shall have free (min_guest_free_percent);
// published: 0.20. The less, the further guests shrink before the host is in want.
#pragma once
#include <memory>

#include "policy/strategy.h"

namespace tmem::policy::baselines {

std::unique_ptr<Strategy> make_mom(double guest_free_min);

}  // namespace tmem::policy::baselines
