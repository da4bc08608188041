// SPDX-License-Identifier: GPL-2.0-or-later
// One owner of the pool domain at a time: a lock on a file, held as long as the descriptor.
#pragma once
#include <chrono>
#include <string>

#include "libtmem/base/result.h"
#include "libtmem/base/unique_fd.h"

namespace tmem::memory::xen {

// A predecessor that is still dying is waited for. Errors: kConflict when somebody else keeps it.
Result<UniqueFd> lock_owner(const std::string& path, std::chrono::milliseconds patience);

}  // namespace tmem::memory::xen
