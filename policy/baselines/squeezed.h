// SPDX-License-Identifier: GPL-2.0-or-later
// squeezed, XAPI's Dynamic Memory Control: every guest gets the same share of the range between
// its dynamic-min and its dynamic-max. It knows nothing of what guests need.
// Source: xapi-project/xen-api, ocaml/squeezed/lib/squeeze.ml (one_iteration, balance_memory) and
// ocaml/squeezed/src/squeeze_xen.ml.
//
// Every 10 s it looks whether the host is balanced; if not, it sets targets once a second until it
// is. Two phases: while a guest has to shrink, only shrinking targets are set. A guest that makes
// no way to its target for 5 s is left out until that run ends.
//
// Here dynamic-min is the guest's minimum. Free memory includes what the pool can give back; the
// slush is no less than the host's head-room.
//
// Knob: dynamic-max, as a share of the way from minimum to maximum; published: all of it.
#pragma once
#include <memory>

#include "policy/strategy.h"

namespace tmem::policy::baselines {

std::unique_ptr<Strategy> make_squeezed(double dynamic_max_share);

}  // namespace tmem::policy::baselines
