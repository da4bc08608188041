// SPDX-License-Identifier: GPL-2.0-or-later
// The Xen that this machine runs on, by libxenctrl, libxenforeignmemory and libxenevtchn.
#pragma once
#include <memory>

#include "tmemd/memory/xen/hypervisor.h"

namespace tmem::memory::xen {

// Errors of both: kNotFound when the program was built without Xen's libraries or for another kind
// of machine, when this is not domain 0, or when the libraries belong to another version of Xen
// than the one that runs. The message says what to do.
Result<std::unique_ptr<Hypervisor>> open_hypervisor();
Result<std::unique_ptr<HostMemory>> open_host_memory();

// Errors: kConflict when another process listens (Xen tells only one), kNotFound, kOs.
Result<std::unique_ptr<LowMemoryEvent>> open_low_memory_event();

}  // namespace tmem::memory::xen
