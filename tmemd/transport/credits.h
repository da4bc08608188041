// SPDX-License-Identifier: GPL-2.0-or-later
// The credits of one connection, shared by its queues (docs/protocol.md, Credits).
//
// What stands in the guest's memory is only published, never trusted: the account is kept here.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "tmem/abi.h"
#include "tmemd/store/store.h"

namespace tmem::transport {

class RingView;

// What the counters of a ring that another daemon served say.
struct CreditsLeft {
  uint32_t granted = 0;      // credits_granted
  uint32_t outstanding = 0;  // not used, or used by a put that is not answered
};

class Credits {
 public:
  // Publishes in `queue0`, which must stay mapped, as must `store`, while the object lives. Keeps
  // at most `outstanding_max` pages reserved. Errors: kNoSpace, kMalformed if what is `left` is
  // more than that or does not fit the store.
  static Result<std::unique_ptr<Credits>> open(store::Store& store, store::ClientRef client,
                                               tmem_control_page& queue0, uint32_t outstanding_max,
                                               CreditsLeft left = {});
  ~Credits();  // gives back what was not spent
  Credits(const Credits&) = delete;
  Credits& operator=(const Credits&) = delete;

  // A put claims to be paid. True: one credit is taken from the account; the caller has the store
  // run or release it. False: the guest has none. Any thread.
  bool spend();
  // Grants new credits when many were used. Cheap when there is nothing to do. Any thread.
  void top_up();

 private:
  Credits(store::Store& store, store::ClientRef client, tmem_control_page& queue0,
          uint32_t outstanding_max, CreditsLeft left)
      : store_(store),
        client_(std::move(client)),
        queue0_(queue0),
        outstanding_max_(outstanding_max),
        outstanding_(left.outstanding),
        granted_(left.granted) {}

  store::Store& store_;
  const store::ClientRef client_;
  tmem_control_page& queue0_;
  const uint32_t outstanding_max_;
  std::atomic<uint32_t> outstanding_;  // granted and not spent
  std::mutex mutex_;
  uint32_t granted_;  // under mutex_: the daemon's own copy of credits_granted
};

// Reads the counters of a connection that a dead daemon served. `queues` in their order.
CreditsLeft credits_left(const std::vector<RingView>& queues);

}  // namespace tmem::transport
