// SPDX-License-Identifier: GPL-2.0-or-later
// The pool domain as the toolstack sees it: its name, and answers to requests to shut down.
//
// `xl shutdown tmem-pool` waits for a guest's acknowledgement and fails after a minute: it gets one
// at once, and nothing else happens. (`xl shutdown --all` leaves the pool domain out.)
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "libtmem/base/result.h"
#include "libtmem/base/units.h"
#include "tmemd/transport/xen/platform.h"

namespace tmem {

// Not thread-safe: one thread waits for fd() and calls handle_events().
class PoolNodes {
 public:
  // Names the domain. `store`: a connection of its own.
  static Result<PoolNodes> publish(std::unique_ptr<transport::xen::XenStore> store, DomId domain);

  int fd() const { return store_->event_fd(); }
  // Acknowledges; returns what was asked, as written: "poweroff", "reboot", ...
  std::vector<std::string> handle_events();
  // After the domain was destroyed by us: while it exists nobody else's domain has its number.
  void remove();

 private:
  PoolNodes(std::unique_ptr<transport::xen::XenStore> store, DomId domain);

  std::unique_ptr<transport::xen::XenStore> store_;
  std::string path_;
  std::string request_path_;
};

}  // namespace tmem
