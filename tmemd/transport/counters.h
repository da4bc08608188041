// SPDX-License-Identifier: GPL-2.0-or-later
// Counters of a queue: written by its worker, read by any thread.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "tmemd/transport/request.h"

namespace tmem::transport {

// Why the daemon stopped serving a queue.
enum class CloseReason : uint8_t {
  kOpen,             // it did not
  kRequestOverflow,  // req_prod ran ahead of rsp_prod by more than the ring's entries
  kResponseRewound,  // the guest changed rsp_prod
  kTooManyBad,       // more bad requests than allowed
  kEventStorm,       // notifications without requests
  kDetached,         // the connection ended
  kCount,
};

std::string_view to_string(CloseReason reason);

// One writer, many readers; no order between counters.
class Counter {
 public:
  void add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

inline constexpr size_t kStatuses = 8;  // store::Status

struct QueueCounters {
  Counter requests;        // answered, whatever the status
  Counter turns;           // run() calls that found requests
  Counter notifications;   // sent to the guest
  Counter events;          // received from the guest
  Counter empty_events;    // ... that found no request
  Counter unasked_events;  // ... that the queue had not asked for
  std::array<Counter, kStatuses> statuses;
  std::array<Counter, kRefusals> refusals;
  std::atomic<CloseReason> closed{CloseReason::kOpen};
};

// A plain copy, for reports; sums over queues.
struct QueueTotals {
  uint64_t requests = 0;
  uint64_t turns = 0;
  uint64_t notifications = 0;
  uint64_t events = 0;
  uint64_t empty_events = 0;
  uint64_t unasked_events = 0;
  std::array<uint64_t, kStatuses> statuses{};
  std::array<uint64_t, kRefusals> refusals{};

  QueueTotals& operator+=(const QueueCounters& queue);
  QueueTotals& operator+=(const QueueTotals& other);
};

}  // namespace tmem::transport
