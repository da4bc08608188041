// SPDX-License-Identifier: LGPL-2.1-or-later
// The client's end of one queue: ring entries, data slots, requests in flight.
//
// What the daemon writes is checked before it is used, so that a broken daemon ends the connection
// and nothing else.
#pragma once
#include <array>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "libtmem/base/ring_layout.h"
#include "libtmem/base/shared_word.h"
#include "tmem/tmem.h"

namespace tmem::client {

// A request to be posted. `page` and `status` belong to the caller until the answer came.
struct Operation {
  tmem_request wire{};        // id, epoch and slot are filled in when it is posted
  const void* put = nullptr;  // a put's 4096 bytes
  void* get = nullptr;        // where a get's bytes go
  int* status = nullptr;
  bool persistent = false;  // of a put: which share of the slots it uses
};

class Queue {
 public:
  // `memory` and the descriptors outlive the queue.
  Queue(std::span<std::byte> memory, const RingLayout& layout, uint64_t store_epoch,
        int doorbell_fd, int wake_fd);

  // Held for a whole call. Several queues: in ascending order.
  std::mutex mutex;

  // Everything below needs `mutex`.

  // False: no ring entry or no slot is free now.
  bool post(const Operation& operation);
  // Makes what was posted visible, and wakes the daemon if it sleeps.
  void publish();
  // Takes the answers that are there; returns how many, or -1 if the daemon broke the protocol.
  int collect();
  bool has_responses() const { return load_acquire(control_->rsp_prod) != collected_; }
  uint32_t outstanding() const { return posted_ - collected_; }
  bool is_closed() const { return load_acquire(control_->closed) != 0; }

  // Asks to be woken: after all outstanding answers, or after half of them if `soon`. False: so
  // many are there already, do not sleep. Needs outstanding() > 0.
  bool arm(bool soon);
  int wake_fd() const { return wake_fd_; }
  void drain_wake() const;

 private:
  enum class Share : uint8_t { kPersistent, kOther, kGet, kCount };
  struct InFlight {
    Operation operation;
    uint64_t id = 0;  // 0: free
    uint32_t slot = TMEM_NO_SLOT;
    Share share = Share::kOther;
  };

  static bool needs_slot(const Operation& operation) {
    return operation.put != nullptr || operation.get != nullptr;
  }
  std::byte* slot_bytes(uint32_t slot) const { return slots_ + size_t{slot} * TMEM_PAGE_BYTES; }
  bool complete(const tmem_response& response);

  tmem_control_page* control_;
  tmem_request* requests_;
  const tmem_response* responses_;
  std::byte* slots_;
  const uint32_t entries_;
  const uint64_t store_epoch_;
  const int doorbell_fd_;
  const int wake_fd_;

  uint32_t posted_ = 0;     // our copy of req_prod, unpublished posts included
  uint32_t published_ = 0;  // req_prod
  uint32_t collected_ = 0;  // answers taken
  uint64_t next_id_;
  std::vector<InFlight> in_flight_;  // by id & (entries - 1)
  std::array<std::vector<uint32_t>, static_cast<size_t>(Share::kCount)> free_slots_;
};

}  // namespace tmem::client
