// SPDX-License-Identifier: LGPL-2.1-or-later
// One call's way through the queues: post what fits, collect what is answered, wait in between.
// The queues that it uses stay locked until every operation has its answer, so a caller that locks
// all of them knows that they are drained.
#pragma once
#include <cstdint>
#include <span>

#include "libtmem/src/client.h"

namespace tmem::client {

// An operation's status before it is answered; never returned to a caller.
inline constexpr int kUnanswered = -100'000;

class Run {
 public:
  // `queue_of[i]` is the queue of operation i, or kNoQueue for one that is not to be run.
  static constexpr uint8_t kNoQueue = 0xff;
  Run(Client& client, std::span<tmem_batch_op> ops, std::span<const uint8_t> queue_of)
      : client_(client), ops_(ops), queue_of_(queue_of) {}

  // 0, or the negative errno that ended the connection; then the unanswered operations have it.
  int run();
  // One prepared operation on queue 0, whose lock and all others' the caller holds.
  int run_one(const Operation& operation);

 private:
  struct Lane {
    Queue* queue = nullptr;
    size_t next = 0;  // operation to look at
    bool all_posted = false;
  };

  int run_lanes();
  int advance(uint32_t number, Lane& lane, bool* progress);
  bool post_next(uint32_t number, Lane& lane);
  int wait();
  bool spin();
  int sleep();
  bool any_responses() const;
  void learn(bool spinning_paid);

  Client& client_;
  const std::span<tmem_batch_op> ops_;
  const std::span<const uint8_t> queue_of_;
  std::array<Lane, TMEM_QUEUES_MAX> lanes_{};
};

}  // namespace tmem::client
