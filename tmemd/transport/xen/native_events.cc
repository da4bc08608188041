// SPDX-License-Identifier: GPL-2.0-or-later
// Event channels by libxenevtchn (/dev/xen/evtchn): one handle, so one descriptor, for each port.
//
// The driver masks a port when its event arrives and shows it in the descriptor; reading takes it
// from there, writing unmasks. So a guest that notifies without end costs one wake-up for each
// acknowledge().
#include <fcntl.h>

#include <cerrno>

extern "C" {  // the header does not say so itself
#include <xenevtchn.h>
}

#include "tmemd/transport/xen/native.h"

namespace tmem::transport::xen {
namespace {

struct CloseHandle {
  void operator()(xenevtchn_handle* handle) const { (void)xenevtchn_close(handle); }
};
using Handle = std::unique_ptr<xenevtchn_handle, CloseHandle>;

class NativePort final : public EventPort {
 public:
  NativePort(Handle handle, evtchn_port_t port) : handle_(std::move(handle)), port_(port) {}
  NativePort(const NativePort&) = delete;
  NativePort& operator=(const NativePort&) = delete;
  ~NativePort() override { (void)xenevtchn_unbind(handle_.get(), port_); }

  int fd() const override { return xenevtchn_fd(handle_.get()); }
  uint32_t local_port() const override { return port_; }
  void ring() override { (void)xenevtchn_notify(handle_.get(), port_); }
  void acknowledge() override {
    // O_NONBLOCK: an error means that none is pending.
    const xenevtchn_port_or_error_t port = xenevtchn_pending(handle_.get());
    if (port >= 0) (void)xenevtchn_unmask(handle_.get(), static_cast<evtchn_port_t>(port));
  }

 private:
  const Handle handle_;
  const evtchn_port_t port_;
};

Result<Handle> open_handle() {
  Handle handle(xenevtchn_open(nullptr, 0));
  if (handle == nullptr) return fail_os("cannot open /dev/xen/evtchn (modprobe xen-evtchn)");
  const int flags = fcntl(xenevtchn_fd(handle.get()), F_GETFL);
  if (flags < 0 || fcntl(xenevtchn_fd(handle.get()), F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_os("cannot make an event channel's descriptor non-blocking");
  return handle;
}

class NativeEvents final : public EventChannels {
 public:
  Result<std::unique_ptr<EventPort>> bind(DomId guest, uint32_t remote_port) override {
    TMEM_TRY(Handle handle, open_handle());
    const xenevtchn_port_or_error_t port =
        xenevtchn_bind_interdomain(handle.get(), static_cast<uint32_t>(guest), remote_port);
    if (port < 0 && errno == EINVAL)
      return fail(Errc::kConflict, "event channel " + std::to_string(remote_port) +
                                       " is not an unbound port for this domain");
    if (port < 0) return fail_os("cannot bind event channel " + std::to_string(remote_port));
    return std::make_unique<NativePort>(std::move(handle), static_cast<evtchn_port_t>(port));
  }
};

}  // namespace

Result<std::unique_ptr<EventChannels>> open_event_channels() {
  TMEM_TRY(const Handle probe, open_handle());
  return std::make_unique<NativeEvents>();
}

}  // namespace tmem::transport::xen
