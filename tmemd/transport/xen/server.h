// SPDX-License-Identifier: GPL-2.0-or-later
// The Xen transport: a thread that follows the host's guests. The queues themselves are run by
// Workers.
#pragma once
#include <memory>
#include <mutex>
#include <thread>

#include "libtmem/base/unique_fd.h"
#include "tmemd/transport/xen/guests.h"

namespace tmem::transport::xen {

// Thread safety: public methods from any thread. They wait for the thread's current turn, which may
// ask xenstored.
class XenServer {
 public:
  // `store`, `workers` and `clock` must outlive the server. options.on_queue_closed is ignored.
  static Result<std::unique_ptr<XenServer>> start(GuestOptions options, Platform platform,
                                                  store::Store& store, Workers& workers,
                                                  const Clock& clock);
  // Ends all connections and tells the guests.
  ~XenServer();
  XenServer(const XenServer&) = delete;
  XenServer& operator=(const XenServer&) = delete;

  // Ends the connection of a client and removes it from the store. False: no such client here.
  bool disconnect(uint32_t client);
  // Asks a client to bring its persistent pages home, or takes that back. False: as above.
  bool set_evacuating(uint32_t client, bool on);

  std::vector<GuestInfo> guests() const;
  XenCounters counters() const;

 private:
  XenServer(GuestOptions options, Platform platform, store::Store& store, Workers& workers,
            const Clock& clock);
  void loop();
  void wait(int timeout_ms) const;
  int timeout_ms() const;

  Platform platform_;
  GuestWorld world_;
  UniqueFd stop_event_;
  mutable std::mutex mutex_;
  Guests guests_;       // under mutex_, with world_
  std::thread thread_;  // last: it uses everything above
};

}  // namespace tmem::transport::xen
