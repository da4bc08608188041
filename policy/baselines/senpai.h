// SPDX-License-Identifier: GPL-2.0-or-later
// Senpai: a workload gets less and less memory until it begins to stall for it, by PSI's `some`.
// Two laws, which differ in how they take; in each the guest's target stands for memory.high.
//
// "senpai": facebookincubator/senpai, senpai.py. Looks every second; takes up to 1 % every 6 s, the
// less the nearer the stall of these 6 s is to its target.
// Knob: the stall in 6 s, us; published: 10000.
//
// "tmo": the law of the TMO paper (Weiner et al., ASPLOS 2022): every 6 s
//   reclaim = current * 0.0005 * max(0, 1 - some / threshold)
// It never gives: a container takes what it needs. A guest cannot, so it is given as in senpai.py,
// with the threshold's share of 6 s as the stall.
// Knob: the threshold, a share of time; published: 0.001.
//
// More stall than the target gives at once, up to twice of what the guest has. Never below 100 MiB
// more than the guest cannot reclaim. The host is not known: the sum is clamped by weight, and the
// limits go on from there. (senpai.py begins anew from what is in use when another has changed a
// limit; here nobody else does.) A guest without PSI keeps its target.
#pragma once
#include <memory>

#include "policy/strategy.h"

namespace tmem::policy::baselines {

std::unique_ptr<Strategy> make_senpai(double stall_us);
std::unique_ptr<Strategy> make_tmo(double threshold);

}  // namespace tmem::policy::baselines
