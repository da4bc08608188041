// SPDX-License-Identifier: GPL-2.0-or-later
// One connected loopback client: its shared memory, descriptors and queues.
//
// The client shares two descriptors a queue with us, and may do with them what it likes:
//   doorbell  an eventfd that it writes and the worker watches with edge-triggered epoll. The
//             daemon never reads or writes it, so a cleared O_NONBLOCK or a full counter cannot
//             stop a worker.
//   wake      the read end of a pipe; the daemon keeps the write end. The two ends are separate
//             open files, so the client cannot clear O_NONBLOCK of ours, and a full pipe makes our
//             write fail harmlessly: a wake-up is pending anyway. (With an eventfd both would share
//             one open file, and a hostile client could make the write block.)
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "libtmem/base/mapping.h"
#include "libtmem/base/unique_fd.h"
#include "tmemd/transport/loopback/handshake.h"
#include "tmemd/transport/workers.h"

namespace tmem::transport {

class PipeDoorbell final : public Doorbell {
 public:
  explicit PipeDoorbell(UniqueFd write_end) : write_end_(std::move(write_end)) {}
  void ring() override;

 private:
  const UniqueFd write_end_;
};

struct ConnectionOptions {
  Grant grant;
  uint32_t bad_requests_max = 64;
  // Called by a worker, at most once a queue; must not block.
  std::function<void(CloseReason)> on_closed;
};

class Connection {
 public:
  // The queues are served when this returns. `store` and `workers` must outlive the connection.
  static Result<std::unique_ptr<Connection>> open(const ConnectionOptions& options,
                                                  store::Store& store, store::ClientRef client,
                                                  Workers& workers);
  // Detaches the queues, then removes the client and its pages from the store.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // What the welcome carries, in its order. They are closed by release_client_fds().
  std::vector<int> client_fds() const;
  void release_client_fds();

  const Grant& grant() const { return grant_; }
  const store::ClientRef& client() const { return client_; }
  QueueTotals totals() const;

 private:
  Connection(Grant grant, store::Store& store, store::ClientRef client)
      : grant_(std::move(grant)), store_(store), client_(std::move(client)) {}
  Result<void> create_memory();
  Result<void> open_queue(uint32_t number, const ConnectionOptions& options, Workers& workers);

  struct QueueEnd {
    UniqueFd doorbell;     // eventfd, written by the client
    UniqueFd client_wake;  // read end of the pipe, until it is handed over
    std::unique_ptr<PipeDoorbell> wake;
    std::unique_ptr<Attachment> attachment;  // last: detached before the rest goes
  };

  const Grant grant_;
  store::Store& store_;
  const store::ClientRef client_;
  UniqueFd memfd_;  // until it is handed over
  Mapping memory_;
  std::unique_ptr<Credits> credits_;  // null where not negotiated
  std::vector<QueueEnd> queues_;
};

}  // namespace tmem::transport
