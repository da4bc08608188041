// SPDX-License-Identifier: LGPL-2.1-or-later
// Spelling for messages.
#pragma once
#include <string>

#include "libtmem/base/units.h"

namespace tmem {

// Whole MiB, rounded down: "17 MiB".
inline std::string mib_text(uint64_t bytes) {
  return std::to_string(bytes / kMiB) + " MiB";
}

}  // namespace tmem
