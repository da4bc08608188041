// SPDX-License-Identifier: GPL-2.0-or-later
// The store's statistics of a client, as the policy wants them.
#pragma once
#include "policy/estimate.h"
#include "tmemd/store/types.h"

namespace tmem::arbiter {

policy::PoolUse pool_use_of(const store::ClientStats& client);

}  // namespace tmem::arbiter
