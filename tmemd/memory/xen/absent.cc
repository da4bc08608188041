// SPDX-License-Identifier: GPL-2.0-or-later
// native.h for builds without Xen's libraries, and for machines whose Xen has no PV domains.
#include "tmemd/memory/xen/native.h"

namespace tmem::memory::xen {
namespace {

tl::unexpected<Error> absent() {
  return fail(Errc::kNotFound,
              "this tmemd was built without Xen's memory: the pool domain needs an x86-64 build "
              "with libxen-dev");
}

}  // namespace

Result<std::unique_ptr<Hypervisor>> open_hypervisor() {
  return absent();
}

Result<std::unique_ptr<HostMemory>> open_host_memory() {
  return absent();
}

Result<std::unique_ptr<LowMemoryEvent>> open_low_memory_event() {
  return absent();
}

}  // namespace tmem::memory::xen
