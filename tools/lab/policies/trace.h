// SPDX-License-Identifier: GPL-2.0-or-later
// A run second by second, as CSV: to see why a policy did what it did.
#pragma once
#include <ostream>

#include "tools/lab/policies/evaluate.h"

namespace tmem::lab::policies {

// All contenders and scenarios of the evaluation, with the pool and without; sizes in MiB.
void write_trace(const Evaluation& evaluation, const Constants& constants, std::ostream& out);

}  // namespace tmem::lab::policies
