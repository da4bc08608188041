// SPDX-License-Identifier: GPL-2.0-or-later
// Proxmox VE's automatic ballooning: 80 % of the host shall be in use. What is missing or too much
// is shared out so that memory above the minimum is in proportion to the guests' shares, by at most
// 100 MiB a guest every 10 s. Guests with little free memory grow first, others shrink first.
// Source: proxmox/pve-manager, PVE/AutoBalloon.pm (compute_alg1) and PVE/Service/pvestatd.pm
// (auto_ballooning).
//
// Shares are the weights. As there, a guest whose minimum or shares are 0 takes no part, and one
// that does not say what it has free counts as one with little. What the pool can give back is not
// in use.
//
// Knob: how much of the host shall be in use (ballooning-target); published: 0.80.
#pragma once
#include <memory>

#include "policy/strategy.h"

namespace tmem::policy::baselines {

std::unique_ptr<Strategy> make_proxmox(double used_target);

}  // namespace tmem::policy::baselines
