// SPDX-License-Identifier: GPL-2.0-or-later
// Threads that run queues. A queue belongs to exactly one thread while it is attached, so nothing
// in Queue needs a lock.
//
// A thread sleeps in one epoll set of its queues' wake descriptors (edge-triggered, never read: a
// guest that owns the other end cannot make a read block, and a counter it fills harms only
// itself). Ready queues take turns of a bounded number of requests. A queue that had nothing left
// at its last turn does not wait for the turns of those that always have more: it interrupts them.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "libtmem/base/monotonic.h"
#include "libtmem/base/result.h"
#include "tmemd/transport/queue.h"
#include "tmemd/transport/unasked_events.h"

namespace tmem::transport {

struct WorkerOptions {
  unsigned threads = 1;
  bool may_spin = true;  // false where only one CPU is online
  // For turns and spinning, which are finer than the daemon's Clock. Any thread.
  std::function<uint64_t()> now_ns = monotonic_ns;
  // Called by a worker when a put found no space; must be quick and not block.
  std::function<void()> on_no_space;
};

// min(4, CPUs online).
unsigned default_worker_threads();
// False with one CPU online: spinning would only delay the guest.
bool spinning_makes_sense();

class WorkerThread;

// A queue being served. Destroying it waits until its thread does not touch the queue any more (at
// most a turn of each); afterwards the ring's memory may be unmapped.
class Attachment {
 public:
  Attachment(WorkerThread& thread, std::unique_ptr<Queue> queue, int wake_fd,
             std::function<void(CloseReason)> on_closed);
  ~Attachment();
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  const QueueCounters& counters() const { return queue_->counters(); }

 private:
  friend class WorkerThread;
  // Not more than a little less served than another; see worker_thread.cc.
  void forget_arrears(uint64_t other_served_ns);
  void charge(uint64_t took_ns, uint32_t requests);
  uint32_t requests_per_turn() const;
  enum class State : uint8_t { kNew, kArmed, kReady, kResting, kClosed };

  WorkerThread& thread_;
  const std::unique_ptr<Queue> queue_;
  const int wake_fd_;  // borrowed
  const std::function<void(CloseReason)> on_closed_;
  bool detached_ = false;  // under the thread's mutex
  // Of the thread only.
  State state_ = State::kNew;
  uint64_t last_work_ns_ = 0;
  uint64_t served_ns_ = 0;   // time its requests and events took; see WorkerThread::charge()
  uint64_t request_ns_ = 0;  // what a request took of late
  UnaskedEvents unasked_events_;
  uint64_t rest_ns_ = 0;  // to be had before it is armed
  uint64_t rests_until_ns_ = 0;
  bool drained_ = true;  // its ring was empty when it was last looked at
  uint64_t interrupts_round_ = 0;
  uint32_t interrupts_ = 0;  // of others' turns, in that round
};

// Thread safety: every method from any thread.
class Workers {
 public:
  static Result<std::unique_ptr<Workers>> start(const WorkerOptions& options);
  ~Workers();  // all attachments are gone before
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Serves `queue` on the thread with the fewest queues. `wake_fd` becomes readable when the guest
  // notifies; it stays open as long as the attachment. `on_closed` is called at most once, by the
  // worker, when it closes the queue because the guest misbehaved; it must not block or destroy
  // the attachment itself.
  Result<std::unique_ptr<Attachment>> attach(std::unique_ptr<Queue> queue, int wake_fd,
                                             std::function<void(CloseReason)> on_closed);

  unsigned threads() const;
  // CPU time of all workers since their start.
  uint64_t cpu_ns() const;

 private:
  Workers();
  std::vector<std::unique_ptr<WorkerThread>> threads_;
};

}  // namespace tmem::transport
