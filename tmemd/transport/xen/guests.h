// SPDX-License-Identifier: GPL-2.0-or-later
// All guests of the host that may use tmem: follows Xen's domains, and hands each guest what
// concerns it.
//
// A guest can write to its part of xenstore as fast as xenstored lets it. So events only mark a
// guest as to be looked at, whatever their number, and a bounded number is taken at a time.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "libtmem/base/unique_fd.h"
#include "policy/write_back.h"
#include "tmemd/transport/xen/guest.h"

namespace tmem::transport::xen {

// Not thread-safe, but for note_closed_queue().
class Guests {
 public:
  // `world` must outlive the object; its options.on_queue_closed is set here.
  explicit Guests(GuestWorld& world);
  // Errors: when xenstore cannot be watched.
  Result<void> begin();
  // Handles what happened since the last call. True: more is waiting, call again soon.
  bool handle();
  // When handle() has something to do without an event.
  uint64_t due_ms() const;
  // Readable when a worker closed a queue.
  int mailbox_fd() const { return mailbox_event_.get(); }
  // tmemd ends: tells all guests and keeps their nodes.
  void stop();

  Guest* find(uint32_t client);
  std::vector<GuestInfo> infos() const;

 private:
  struct ClosedQueue {
    DomId guest;
    uint64_t connection;
    CloseReason reason;
  };

  void note_closed_queue(const ClosedQueue& closed);
  void handle_closed_queues();
  bool take_events();
  void scan();
  void bury_dead(const std::vector<Domain>& domains);
  Result<void> take_in(const std::vector<Domain>& domains);
  Result<void> consider(const Domain& domain);
  Result<void> turn_away(const Domain& domain);
  void remove_leftovers(const std::vector<Domain>& domains);
  void ask_for_write_back();

  GuestWorld& world_;
  std::map<DomId, std::unique_ptr<Guest>> guests_;
  std::set<std::pair<DomId, Uuid>> turned_away_;
  std::set<DomId> to_look_at_;
  bool to_scan_ = true;
  bool scan_failed_ = false;  // said so already
  uint64_t next_scan_ms_ = 0;
  policy::WriteBack write_back_;
  uint64_t next_write_back_ms_ = 0;

  std::mutex mailbox_mutex_;          // last in the lock order: a worker holds its own lock
  std::vector<ClosedQueue> mailbox_;  // under mailbox_mutex_
  UniqueFd mailbox_event_;
};

}  // namespace tmem::transport::xen
