// SPDX-License-Identifier: GPL-2.0-or-later
// What a loopback client may ask for, and what it is granted. Pure functions of the message.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "libtmem/base/units.h"
#include "tmem/loopback.h"

namespace tmem::transport {

struct HandshakeLimits {
  uint32_t queues_default = 4;
  uint32_t queues_max = TMEM_QUEUES_MAX;
  uint64_t memory_max_bytes = 32 * kMiB;  // shared memory of one connection
};

// A hello that was checked.
struct Grant {
  uint32_t version = 0;
  uint32_t queues = 0;
  uint32_t ring_order = 0;
  uint32_t slots = 0;
  uint64_t features = 0;
  Uuid uuid{};
  std::string name;
  uint64_t memory_bytes = 0;  // all queues
};

// `os_errno` goes into the welcome's status, `reason` says what to do (at most 127 bytes are sent).
struct HandshakeRefusal {
  int os_errno = 0;
  std::string reason;
};

// Feature bits that this daemon offers.
inline constexpr uint64_t kLoopbackFeatures = TMEM_FEATURE_CREDITS;

tl::expected<Grant, HandshakeRefusal> check_hello(std::span<const std::byte> message,
                                                  const HandshakeLimits& limits);

}  // namespace tmem::transport
