// SPDX-License-Identifier: GPL-2.0-or-later
// One connected Xen guest: its ports, mapped pages and queues. Destroying it stops the queues, then
// unmaps and unbinds everything.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "tmemd/transport/credits.h"
#include "tmemd/transport/workers.h"
#include "tmemd/transport/xen/offer.h"
#include "tmemd/transport/xen/platform.h"

namespace tmem::transport::xen {

struct ConnectionOptions {
  DomId guest{};
  Offer offer;
  // The rings were served by a daemon that died: requests may wait in them.
  bool taken_over = false;
  uint32_t bad_requests_max = 64;
  // Called by a worker, at most once a queue; must not block.
  std::function<void(CloseReason)> on_closed;
};

class Connection {
 public:
  // The queues are served when this returns. `platform`, `store` and `workers` must outlive the
  // connection. Errors: kConflict when a port is not free (a daemon that is still dying may have
  // it), kMalformed, kNoSpace, kOs.
  static Result<std::unique_ptr<Connection>> open(const ConnectionOptions& options,
                                                  Platform& platform, store::Store& store,
                                                  const store::ClientRef& client, Workers& workers);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  uint32_t queues() const { return static_cast<uint32_t>(queues_.size()); }
  uint32_t slots() const { return slots_; }
  uint64_t memory_bytes() const { return memory_bytes_; }
  QueueTotals totals() const;

 private:
  struct QueueEnd {
    std::unique_ptr<EventPort> port;
    std::unique_ptr<GrantMapping> memory;    // ring pages, then slots
    std::unique_ptr<GrantMapping> notice;    // the control page once more: see UnmapNotice
    std::unique_ptr<Attachment> attachment;  // last: detached before the rest goes
  };

  explicit Connection(const Offer& offer)
      : slots_(offer.slots), memory_bytes_(offer.memory_bytes()) {}
  static Result<void> map(const ConnectionOptions& options, const QueueOffer& offer,
                          GrantMapper& grants, QueueEnd& end);

  const uint32_t slots_;
  const uint64_t memory_bytes_;
  std::unique_ptr<Credits> credits_;  // null where not negotiated; used by the queues
  std::vector<QueueEnd> queues_;
};

}  // namespace tmem::transport::xen
