// SPDX-License-Identifier: GPL-2.0-or-later
// The executor of one queue: takes requests from the ring in order, runs each on the store,
// answers it. Knows neither threads nor how the guest is woken; the loopback and the Xen transport
// share it.
//
// Crash rule (abi.h): rsp_prod is published after each request and before the next one changes the
// store, so a successor that attaches to the same memory runs at most one request twice.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <variant>

#include "libtmem/base/mutation.h"
#include "tmemd/store/store.h"
#include "tmemd/transport/counters.h"
#include "tmemd/transport/credits.h"
#include "tmemd/transport/request.h"
#include "tmemd/transport/ring_view.h"

namespace tmem::transport {

// Wakes the guest that waits on a queue. Must not block, whatever the guest does.
class Doorbell {
 public:
  virtual ~Doorbell() = default;
  virtual void ring() = 0;
  // Takes the guest's notification, so that the next one can come. Called before the queue asks for
  // one: until then a transport may hold back what a guest sends too fast.
  virtual void acknowledge() {}
};

// What a thread needs to run requests; one per thread.
struct Context {
  store::Worker worker;
  alignas(64) std::array<std::byte, kPageBytes> page{};  // a put's bytes, copied out of the slot
  bool saw_no_space = false;  // set when a put was refused; the owner of the context resets it
};

struct QueueOptions {
  uint32_t number = 0;
  uint32_t queues = 1;
  // Of the connection; null where the feature was not negotiated. Outlives the queue.
  Credits* credits = nullptr;
  // The request after this many bad ones closes the queue.
  uint32_t bad_requests_max = 64;
  // Notifications in a row that found no request, after which the queue is closed.
  uint32_t empty_events_max = 256;
};

// Not thread-safe: one thread at a time, but for counters().
class Queue {
 public:
  // Takes over a ring whose control page is initialised: a new one, or one that a dead daemon
  // served. Errors: kMalformed when its counters contradict each other. `store` and `doorbell`
  // must outlive the queue.
  static Result<std::unique_ptr<Queue>> attach(const RingView& ring, const QueueOptions& options,
                                               store::Store& store, store::ClientRef client,
                                               Doorbell& doorbell);

  struct Turn {
    uint32_t executed = 0;
    bool more = false;  // requests are left
    CloseReason closed = CloseReason::kOpen;
  };
  // Runs at most `requests_max` requests, then notifies the guest once if it asked for that. Ends
  // earlier when `interrupted` says so; it is asked between requests. Then the guest is not
  // notified yet: call run() again for the rest, which notifies it of all.
  using Interrupted = std::function<bool()>;
  Turn run(Context& context, uint32_t requests_max, const Interrupted& interrupted = {});

  // True if the guest has posted something. One load.
  bool has_requests() const {
    return closed_ == CloseReason::kOpen && load_acquire(ring_.control().req_prod) != done_;
  }

  // Asks for a notification. True: nothing is there, the caller may sleep until the guest's event
  // arrives. False: requests came meanwhile (or it is closed), run again.
  bool arm();

  struct Event {
    bool asked_for = false;  // one each time that the queue asks anew; that may come late
    CloseReason closed = CloseReason::kOpen;
  };
  // Call when the guest's notification arrived, before run(). Closes the queue when too many of
  // them came without a request.
  Event note_event();

  // Tells the guest that the queue is not served any more. Idempotent.
  void close(CloseReason reason);

  const QueueCounters& counters() const { return counters_; }

 private:
  Queue(const RingView& ring, const QueueOptions& options, store::Store& store,
        store::ClientRef client, Doorbell& doorbell, uint32_t done);

  struct Pending {
    uint64_t id = 0;
    uint64_t epoch = 0;
    Decoded request = Nop{};
  };
  Pending fetch(uint32_t counter) const;
  void prefetch(const Pending& pending) const;
  store::Status execute(Context& context, const Pending& pending);
  store::Status execute_checked(Context& context, const Request& request, uint64_t epoch);
  store::Status refuse(Refusal refusal);
  store::Status dispatch(Context& context, const Request& request);
  store::Status put(Context& context, const Put& request);
  store::Status get(Context& context, const Get& request);
  void notify_since(uint32_t old_done);
  bool skip_by_mutation();
  void repeat_by_mutation(Context& context, const Pending& last);

  const RingView ring_;
  const QueueOptions options_;
  const QueueShape shape_;
  store::Store& store_;
  const store::ClientRef client_;
  Doorbell& doorbell_;
  const uint64_t epoch_;

  // Requests answered: the daemon's own copy of rsp_prod. What stands in the ring is only compared
  // with it.
  uint32_t done_;
  std::optional<uint32_t> unnotified_from_;  // of an interrupted run()
  uint32_t bad_requests_ = 0;
  uint32_t empty_events_in_row_ = 0;
  uint32_t asked_at_;  // done_ when arm() last asked for a notification
  // Notifications that were asked for and may still come, as many as can be on their way at once:
  // the last one, and earlier ones in the descriptor, held back behind it, and about to be sent by
  // the guest. Those may be due before this object is there.
  uint32_t events_due_ = kEventsDueMax;
  static constexpr uint32_t kEventsDueMax = 4;
  bool event_unacknowledged_ = true;  // also one that came before this object was there
  CloseReason closed_ = CloseReason::kOpen;
  QueueCounters counters_;
#ifdef TMEM_MUTATIONS
  uint32_t mutation_count_ = 0;
  std::optional<Pending> repeat_;
#endif
};

}  // namespace tmem::transport
