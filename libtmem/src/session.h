// SPDX-License-Identifier: LGPL-2.1-or-later
// A connection to tmemd after the loopback handshake: the socket, the shared memory, and two
// descriptors a queue. What the daemon sent has been checked.
#pragma once
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "libtmem/base/mapping.h"
#include "libtmem/base/ring_layout.h"
#include "libtmem/base/unique_fd.h"
#include "libtmem/base/units.h"

namespace tmem::client {

struct SessionOptions {
  std::string socket_path;
  std::string name;
  Uuid uuid{};
  uint32_t queues = 0;
  uint32_t ring_order = 0;
  uint32_t slots = 0;
  uint32_t timeout_ms = 0;
};

struct Session {
  struct QueueEnd {
    UniqueFd doorbell;  // eventfd: write to wake the daemon
    UniqueFd wake;      // pipe: readable when the daemon wakes us
  };
  UniqueFd socket;
  Mapping memory;
  std::vector<QueueEnd> ends;
  RingLayout layout;  // of each queue
  uint64_t store_epoch = 0;
  uint32_t client_number = 0;
};

struct ConnectError {
  int os_errno = 0;
  std::string reason;
};

tl::expected<Session, ConnectError> open_session(const SessionOptions& options);

}  // namespace tmem::client
