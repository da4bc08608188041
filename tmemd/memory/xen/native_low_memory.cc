// SPDX-License-Identifier: GPL-2.0-or-later
// VIRQ_ENOMEM by libxenevtchn.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

extern "C" {  // the header does not say so itself
#include <xenevtchn.h>
}

#include "tmemd/memory/xen/native.h"

namespace tmem::memory::xen {
namespace {

struct CloseHandle {
  void operator()(xenevtchn_handle* handle) const { (void)xenevtchn_close(handle); }
};
using Handle = std::unique_ptr<xenevtchn_handle, CloseHandle>;

// Closing the handle unbinds it.
class NativeLowMemoryEvent final : public LowMemoryEvent {
 public:
  explicit NativeLowMemoryEvent(Handle handle) : handle_(std::move(handle)) {}

  int fd() const override { return xenevtchn_fd(handle_.get()); }
  void acknowledge() override {
    // O_NONBLOCK: an error means that none is pending.
    const xenevtchn_port_or_error_t port = xenevtchn_pending(handle_.get());
    if (port >= 0) (void)xenevtchn_unmask(handle_.get(), static_cast<evtchn_port_t>(port));
  }

 private:
  const Handle handle_;
};

}  // namespace

Result<std::unique_ptr<LowMemoryEvent>> open_low_memory_event() {
  if (::access("/dev/xen/evtchn", R_OK | W_OK) != 0)
    return fail(Errc::kNotFound, "no /dev/xen/evtchn (modprobe xen-evtchn)");
  Handle handle(xenevtchn_open(nullptr, 0));
  if (handle == nullptr) return fail_os("cannot open /dev/xen/evtchn");
  const int flags = fcntl(xenevtchn_fd(handle.get()), F_GETFL);
  if (flags < 0 || fcntl(xenevtchn_fd(handle.get()), F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_os("cannot make an event channel's descriptor non-blocking");
  if (xenevtchn_bind_virq(handle.get(), VIRQ_ENOMEM) >= 0)
    return std::make_unique<NativeLowMemoryEvent>(std::move(handle));
  if (errno == EEXIST) return fail(Errc::kConflict, "another process has Xen's low-memory event");
  return fail_os("cannot bind Xen's low-memory event");
}

}  // namespace tmem::memory::xen
