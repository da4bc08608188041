// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest could make free, by its own report, and how much of that it keeps.
#pragma once
#include <cstdint>

#include "policy/estimate.h"

namespace tmem::policy {

// Page cache, and what its swap has room for.
uint64_t spare_bytes(const Sample& sample);
// Of that a guest keeps so much: the balloon moves a second after a program has started, and a
// guest whose memory is all in use then kills processes, or dies. Nothing softens that where its
// swap has no room for an eighth of its maximum: such a guest keeps that eighth, up to 1 GiB.
uint64_t spare_min_bytes(const Sample& sample, uint64_t max_bytes);

}  // namespace tmem::policy
