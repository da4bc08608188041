// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/xen/server.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "tmemd/transport/thread_signals.h"

namespace tmem::transport::xen {
namespace {

// Events that come within this time are handled together: no guest can have more of the thread.
constexpr std::chrono::milliseconds kTurnPause{5};
constexpr uint64_t kSleepMaxMs = 1'000;

}  // namespace

XenServer::XenServer(GuestOptions options, Platform platform, store::Store& store, Workers& workers,
                     const Clock& clock)
    : platform_(std::move(platform)),
      world_{std::move(options), platform_, store, workers, clock, {}},
      stop_event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      guests_(world_) {}

Result<std::unique_ptr<XenServer>> XenServer::start(GuestOptions options, Platform platform,
                                                    store::Store& store, Workers& workers,
                                                    const Clock& clock) {
  std::unique_ptr<XenServer> server(
      new XenServer(std::move(options), std::move(platform), store, workers, clock));
  if (!server->stop_event_) return fail_os("cannot create an eventfd");
  TMEM_CHECK(server->guests_.begin());
  try {
    server->thread_ = std::thread([raw = server.get()] { raw->loop(); });
  } catch (const std::system_error& error) {
    return fail(Errc::kOs, std::string("cannot start the Xen thread: ") + error.what());
  }
  (void)pthread_setname_np(server->thread_.native_handle(), "tmem-xen");
  return server;
}

XenServer::~XenServer() {
  if (!thread_.joinable()) return;
  (void)eventfd_write(stop_event_.get(), 1);
  thread_.join();
  guests_.stop();
}

void XenServer::loop() {
  block_signals_in_this_thread();
  pollfd stop{stop_event_.get(), POLLIN, 0};
  while (::poll(&stop, 1, 0) == 0) {
    bool more = false;
    int sleep_ms = 0;
    {
      const std::lock_guard lock(mutex_);
      more = guests_.handle();
      sleep_ms = timeout_ms();
    }
    if (!more) wait(sleep_ms);
    std::this_thread::sleep_for(kTurnPause);
  }
}

void XenServer::wait(int timeout_ms) const {
  std::array<pollfd, 3> fds = {{{platform_.store->event_fd(), POLLIN, 0},
                                {guests_.mailbox_fd(), POLLIN, 0},
                                {stop_event_.get(), POLLIN, 0}}};
  (void)::poll(fds.data(), fds.size(), timeout_ms);
}

int XenServer::timeout_ms() const {
  const uint64_t now_ms = world_.clock.now_ms();
  const uint64_t due_ms = std::max(now_ms, guests_.due_ms());
  return static_cast<int>(std::min(due_ms - now_ms, kSleepMaxMs));
}

bool XenServer::disconnect(uint32_t client) {
  const std::lock_guard lock(mutex_);
  Guest* const guest = guests_.find(client);
  if (guest != nullptr) guest->disconnect();
  return guest != nullptr;
}

bool XenServer::set_evacuating(uint32_t client, bool on) {
  const std::lock_guard lock(mutex_);
  Guest* const guest = guests_.find(client);
  if (guest != nullptr) guest->set_evacuating(on);
  return guest != nullptr;
}

std::vector<GuestInfo> XenServer::guests() const {
  const std::lock_guard lock(mutex_);
  return guests_.infos();
}

XenCounters XenServer::counters() const {
  const std::lock_guard lock(mutex_);
  XenCounters counters = world_.counters;
  for (const GuestInfo& guest : guests_.infos()) counters.totals += guest.totals;
  return counters;
}

}  // namespace tmem::transport::xen
