// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/memory/xen/control_interface.h"

#include <unistd.h>

#include <cerrno>
#include <string>

#include "tmemd/memory/xen/native.h"

namespace tmem::memory::xen {
namespace {

// The one question that all versions of Xen understand.
std::string running_version(xc_interface* control) {
  const int version = xc_version(control, XENVER_version, nullptr);
  if (version < 0) return "of unknown version";
  return std::to_string(version >> 16) + "." + std::to_string(version & 0xffff);
}

class NativeHostMemory final : public HostMemory {
 public:
  explicit NativeHostMemory(Control control) : control_(std::move(control)) {}

  Result<HostMemoryInfo> read() const override {
    xc_physinfo_t info{};
    if (xc_physinfo(control_.get(), &info) != 0) return fail_os("cannot ask Xen for its memory");
    return HostMemoryInfo{.total_bytes = info.total_pages * kPageBytes,
                          .free_bytes = info.free_pages * kPageBytes,
                          .claimed_bytes = info.outstanding_pages * kPageBytes};
  }

 private:
  const Control control_;
};

}  // namespace

Result<Control> open_control() {
  // Asked first, because the libraries print what they miss.
  if (::access("/dev/xen/privcmd", R_OK | W_OK) != 0)
    return fail(Errc::kNotFound, "this is not Xen's domain 0, or not root: no /dev/xen/privcmd");
  Control control(xc_interface_open(nullptr, nullptr, 0));
  if (control == nullptr)
    return fail(Errc::kNotFound, "cannot open Xen's control interface /dev/xen/privcmd");
  xc_physinfo_t info{};
  xc_domaininfo_t domain{};
  if (xc_physinfo(control.get(), &info) == 0 &&
      xc_domain_getinfolist(control.get(), 0, 1, &domain) == 1)
    return control;
  if (errno != EACCES)
    return fail(Errc::kNotFound,
                std::string("Xen refuses its control interface: ") + std::strerror(errno));
  return fail(Errc::kNotFound,
              "the installed libxenctrl is for Xen " XEN_LIBRARIES_VERSION ", but Xen " +
                  running_version(control.get()) +
                  " runs: reboot into the Xen that was installed, or install the libraries and the "
                  "tmemd of the one that runs");
}

Result<std::unique_ptr<HostMemory>> open_host_memory() {
  TMEM_TRY(Control control, open_control());
  return std::make_unique<NativeHostMemory>(std::move(control));
}

}  // namespace tmem::memory::xen
