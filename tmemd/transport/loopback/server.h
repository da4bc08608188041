// SPDX-License-Identifier: GPL-2.0-or-later
// The loopback transport's front door: a unix socket that turns local processes into clients.
//
// One thread accepts, shakes hands and notices when a client goes; it never waits for a peer. The
// queues themselves are run by Workers.
#pragma once
#include <sys/socket.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "libtmem/base/clock.h"
#include "libtmem/base/unique_fd.h"
#include "tmemd/transport/loopback/connection.h"

namespace tmem::transport {

struct LoopbackOptions {
  std::string socket_path;
  uint32_t socket_mode = 0660;
  HandshakeLimits limits;
  uint32_t connections_max = 256;    // shaking hands included
  uint64_t memory_max_bytes = kGiB;  // shared memory of all connections together
  uint32_t handshake_timeout_ms = 5'000;
  uint32_t bad_requests_max = 64;
  // What a new client is granted. Called on the server's thread; must not throw.
  std::function<store::ClientSettings(const store::ClientIdentity&)> settings_for;
  // Told of everything a peer causes, already as a sentence; must limit its own rate.
  std::function<void(const std::string&)> log;
  // Called after a client's pages were dropped.
  std::function<void()> on_client_gone;
};

struct ConnectionInfo {
  uint32_t client = 0;  // the store's number
  std::string name;
  ucred peer{};  // who connected, as the kernel says
  uint32_t queues = 0;
  uint32_t slots = 0;
  uint64_t memory_bytes = 0;
  QueueTotals totals;
};

struct LoopbackCounters {
  uint64_t accepted = 0;            // sockets
  uint64_t connected = 0;           // handshakes that succeeded
  uint64_t handshakes_refused = 0;  // answered with an error
  uint64_t handshakes_late = 0;     // no hello in time
  uint64_t turned_away = 0;         // over connections_max
  uint64_t protocol_errors = 0;     // bytes on the socket after the handshake
  uint64_t administrator = 0;       // disconnect() calls that found their client
  std::array<uint64_t, static_cast<size_t>(CloseReason::kCount)> misbehaved{};
  QueueTotals totals;  // of all connections there ever were
};

// Thread safety: public methods from any thread.
class LoopbackServer {
 public:
  // `store`, `workers` and `clock` must outlive the server. A socket file that nobody listens on is
  // replaced. Errors: kConflict if another process listens there, kOs.
  static Result<std::unique_ptr<LoopbackServer>> start(LoopbackOptions options, store::Store& store,
                                                       Workers& workers, const Clock& clock);
  ~LoopbackServer();  // ends all connections, removes the socket file
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  // Ends the connection of a client; its pages are dropped soon after. False: no such client here.
  bool disconnect(uint32_t client);

  std::vector<ConnectionInfo> connections() const;
  LoopbackCounters counters() const;

 private:
  struct Peer {
    UniqueFd socket;
    ucred credentials{};
    uint64_t deadline_ms = 0;                // of the hello
    std::unique_ptr<Connection> connection;  // null: still shaking hands
  };
  using PeerId = uint64_t;
  struct CloseRequest {
    PeerId peer;
    CloseReason reason;
  };

  LoopbackServer(LoopbackOptions options, store::Store& store, Workers& workers,
                 const Clock& clock);
  Result<void> listen();
  Result<void> remove_stale_socket();
  Result<void> watch(int fd, PeerId id) const;

  void loop();
  void handle_event(PeerId id);
  int timeout_ms() const;
  void accept_all();
  void pause_accepting();
  void drop_late_peers();
  void handle_close_requests();
  void read_hello(PeerId id, Peer& peer);
  void connect_peer(PeerId id, Peer& peer, const Grant& grant);
  void refuse(PeerId id, Peer& peer, const HandshakeRefusal& refusal);
  bool send_welcome(const Peer& peer) const;
  void close_peer(PeerId id);
  void request_close(PeerId id, CloseReason reason);
  uint64_t memory_in_use_bytes() const;

  const LoopbackOptions options_;
  store::Store& store_;
  Workers& workers_;
  const Clock& clock_;
  UniqueFd listener_;
  UniqueFd epoll_;
  UniqueFd command_event_;
  bool bound_ = false;
  // Of the thread only.
  PeerId next_peer_ = 0;
  uint32_t handshakes_open_ = 0;
  uint64_t accept_again_ms_ = 0;  // 0: accepting

  mutable std::mutex mutex_;
  // Changed by the thread under mutex_; read by the thread without, by others under it.
  std::map<PeerId, Peer> peers_;
  LoopbackCounters counters_;                 // under mutex_
  std::vector<CloseRequest> close_requests_;  // under mutex_
  bool stop_ = false;                         // under mutex_

  std::thread thread_;  // last: it uses everything above
};

}  // namespace tmem::transport
