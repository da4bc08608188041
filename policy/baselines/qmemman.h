// SPDX-License-Identifier: GPL-2.0-or-later
// qmemman of Qubes OS: every guest prefers 1.3 times what it uses; what the host has beyond the
// sum of that is shared in proportion to it, down to 50 MiB free.
// Source: QubesOS/qubes-core-admin, qubes/qmemman/algo.py (balance) and systemstate.py
// (do_balance); QubesOS/qubes-linux-utils, qmemman/meminfo-writer.c (what a guest says, and when).
//
// A round begins when a guest says something new, or comes or goes. Its requests are sent donors
// first; for what others give up it waits, 0.1 s at a time and five times for a guest; then it
// gives what there is, and leaves out the donors that did not move.
//
// When guests prefer more than there is, the memory that donors give up is taken off what the
// others may get, where one would add it: as shipped since 2010. So a round with real donors
// mostly only shrinks. "qmemman-fixed" adds it.
//
// Not here: the reservation for a domain that is being built (Xen's claims are off the free
// memory), domain 0, and the 16 MiB between Xen's view of a guest and its own. Free memory
// includes what the pool can give back; what is left free is no less than the host's head-room. A
// guest without a report keeps its target.
//
// Knob: the factor over what a guest uses (CACHE_FACTOR); published: 1.3.
#pragma once
#include <memory>

#include "policy/strategy.h"

namespace tmem::policy::baselines {

std::unique_ptr<Strategy> make_qmemman(double cache_factor);
std::unique_ptr<Strategy> make_qmemman_fixed(double cache_factor);

}  // namespace tmem::policy::baselines
