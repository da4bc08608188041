// SPDX-License-Identifier: GPL-2.0-or-later
// Slots in a memfd: a fixed budget of this machine's own memory. The default off Xen.
#pragma once
#include <memory>

#include "tmemd/memory/slot_provider.h"

namespace tmem::memory {

struct MemfdOptions {
  uint64_t bytes_max = 0;  // rounded up to whole slots
  bool populate = false;   // commit a slot's memory when it is acquired, not at first touch
};

// Errors: kMalformed for bytes_max 0, kOs when the range cannot be reserved.
Result<std::unique_ptr<SlotProvider>> create_memfd_provider(const MemfdOptions& options);

}  // namespace tmem::memory
