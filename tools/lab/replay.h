// SPDX-License-Identifier: GPL-2.0-or-later
// `tmem-lab replay`: a decision log of tmemd, run again.
#pragma once
#include <string>

#include "libtmem/base/result.h"

namespace tmem::lab {

// A line on what was replayed. Errors: kConflict where a decision came out differently.
Result<std::string> run_replay(const std::string& log_path);

}  // namespace tmem::lab
