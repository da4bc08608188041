// SPDX-License-Identifier: GPL-2.0-or-later
// Static partition: `memory=` of xl.cfg for ever. What every host without a memory scheduler does.
//
// Knob: the share of each guest's maximum that it gets; published: all of it. Where these are more
// than the host has, all get the same share less: xl would not start the last of them.
#pragma once
#include <map>
#include <memory>

#include "policy/strategy.h"

namespace tmem::policy::baselines {

using Split = std::map<GuestId, uint64_t>;  // bytes for each guest

std::unique_ptr<Strategy> make_static(double share_of_max);
// A given split; a guest that it does not name keeps its target. The best static partition is the
// best of all splits, which a search finds by running each.
std::unique_ptr<Strategy> make_static(Split split);

}  // namespace tmem::policy::baselines
