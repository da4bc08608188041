// SPDX-License-Identifier: GPL-2.0-or-later
// One guest that may use tmem, from the moment Xen has it until it dies: its nodes in xenstore, its
// client in the store, and at most one connection at a time.
//
//               B 2                          B 4
//   begin ──► offered ── F 3, keys good ──► connected ── F leaves 3/4, misbehaves ──► closed (B 6)
//                ▲  └──── keys bad ──────────────────────────────────────────────────►  │
//                └───────────────────── F 1 or 6 or gone, and its penalty is over ──────┘
//
// A daemon that finds F at 3/4 and B at 4 begins in `taking over` instead: the rings are attached
// where the dead one left them, or closed.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string>

#include "libtmem/base/clock.h"
#include "tmemd/transport/xen/connection.h"
#include "tmemd/transport/xen/nodes.h"

namespace tmem::transport::xen {

// Since the daemon's start, of all guests.
struct XenCounters {
  uint64_t guests_seen = 0;      // that may use tmem
  uint64_t connected = 0;        // new connections
  uint64_t taken_over = 0;       // rings that an earlier daemon had served
  uint64_t take_overs_lost = 0;  // ... that could not be attached
  uint64_t refused = 0;          // offers with wrong values, grants or ports
  uint64_t hung_up = 0;          // connections that the guest ended
  uint64_t died = 0;             // guests that went with a connection
  uint64_t administrator = 0;    // connections that the administrator ended
  std::array<uint64_t, static_cast<size_t>(CloseReason::kCount)> misbehaved{};
  QueueTotals totals;  // of all connections there ever were
};

struct GuestOptions {
  Limits limits;
  uint32_t bad_requests_max = 64;
  // What each guest is asked to write to its disk a second while pages that lie in the pool for
  // long are too many (policy/write_back.h); 0: nothing, ever.
  uint32_t write_back_kib_s = 0;
  // Whether a guest may use tmem, and what a new client is granted. Must not throw.
  std::function<bool(const store::ClientIdentity&)> admits;
  std::function<store::ClientSettings(const store::ClientIdentity&)> settings_for;
  // Told of everything that a guest causes, already as a sentence; both must limit their own rate.
  std::function<void(const std::string&)> log;   // what is wrong
  std::function<void(const std::string&)> note;  // what is usual
  // Called after a client's pages were dropped.
  std::function<void()> on_client_gone;
  // A worker closed a queue of this guest's connection number `connection`. Any thread; must not
  // block. Followed by Guest::misbehaved() on the guest's thread.
  std::function<void(DomId guest, uint64_t connection, CloseReason reason)> on_queue_closed;
};

// What all guests share; outlives them.
struct GuestWorld {
  GuestOptions options;
  Platform& platform;
  store::Store& store;
  Workers& workers;
  const Clock& clock;
  XenCounters counters;
};

struct GuestInfo {
  DomId domain{};
  std::string name;
  uint32_t client = 0;  // the store's number; 0: none yet
  std::string state;    // offered, taking-over, connected, closed
  bool evacuating = false;
  // What the guest says; while it is asked to evacuate, only if it has begun to. Without a
  // connection: true when it has no persistent pages.
  bool can_migrate = true;
  std::string evacuate_error;     // of the guest
  uint32_t write_back_kib_s = 0;  // asked for
  uint32_t queues = 0;
  uint32_t slots = 0;
  uint64_t memory_bytes = 0;  // mapped
  QueueTotals totals;
};

// Not thread-safe: of the transport's thread.
class Guest {
 public:
  Guest(GuestWorld& world, store::ClientIdentity identity);
  // Lets go of everything but the nodes in xenstore.
  ~Guest();
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  // Makes the nodes, or takes over what an earlier daemon left. Errors: kOs, nothing was done as
  // xenstore cannot be read.
  Result<void> begin();
  // Looks at the frontend's state and acts on it; any time, any number of times.
  void look();
  // look() has something to do by itself at this time; UINT64_MAX: only after an event.
  uint64_t due_ms() const { return due_ms_; }

  // A queue of connection number `connection` was closed because of what the guest did.
  void misbehaved(uint64_t connection, CloseReason reason);
  // Ends the connection; the guest may connect anew, as another client.
  void disconnect();
  // Asks the guest to bring its persistent pages home, or takes that back.
  void set_evacuating(bool on);
  // Whether what it moves out of the pool is room for others: a guarantee's is not.
  bool exceeds_guarantee() const;
  // Asks the guest to write pages that lie in the pool for long to its disk: so many KiB a second.
  void set_write_back(uint32_t kib_s);
  // tmemd ends: tells the guest, keeps the nodes.
  void stop();
  // The domain is dying or gone: removes the nodes too.
  void bury();

  const store::ClientIdentity& identity() const { return identity_; }
  const store::ClientRef& client() const { return client_; }
  GuestInfo info() const;

 private:
  enum class Phase { kOffered, kTakingOver, kConnected, kClosed };

  Result<BusState> read_state(const std::string& folder) const;
  void write_state(BusState state);
  void make_nodes();
  void offer();
  void follow(BusState state);
  void look_again(const Error& error);
  void try_connect();
  Result<void> connect(const Offer& offer);
  Result<void> ensure_client();
  void connected();
  void refuse(const Error& error);
  void hang_up(BusState state);
  void drop_connection();
  void drop_client();
  void close_backend();
  void look_when_closed(BusState state);
  bool is_away() const;
  void report(const std::string& why);
  std::string title() const;
  uint64_t now_ms() const { return world_.clock.now_ms(); }

  GuestWorld& world_;
  const store::ClientIdentity identity_;
  const std::string frontend_;
  const std::string backend_;
  Phase phase_ = Phase::kOffered;
  bool evacuating_ = false;
  uint32_t write_back_kib_s_ = 0;  // as in our nodes
  bool has_error_ = false;         // our error node may exist
  bool store_fails_ = false;       // said so already
  uint64_t connection_number_ = 0;
  uint64_t connected_at_ms_ = 0;
  uint64_t binding_until_ms_ = 0;  // 0: the last bind did not fail
  uint64_t penalty_ms_ = 0;
  uint64_t closed_until_ms_ = 0;
  uint64_t due_ms_ = UINT64_MAX;
  store::ClientRef client_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace tmem::transport::xen
