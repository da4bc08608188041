// SPDX-License-Identifier: GPL-2.0-or-later
// One worker: its thread, epoll set and turn order. Internal to workers.cc.
#pragma once
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "libtmem/base/unique_fd.h"
#include "tmemd/transport/spin_budget.h"
#include "tmemd/transport/workers.h"

namespace tmem::transport {

class WorkerThread {
 public:
  static Result<std::unique_ptr<WorkerThread>> start(const WorkerOptions& options, unsigned index);
  ~WorkerThread();
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  Result<void> attach(Attachment& attachment);
  void detach(Attachment& attachment);  // waits for the thread; twice is allowed
  unsigned queues() const { return queues_.load(std::memory_order_relaxed); }
  uint64_t cpu_ns() const;

 private:
  WorkerThread(const WorkerOptions& options, UniqueFd epoll, UniqueFd command_event);
  struct Command {
    Attachment* attachment = nullptr;  // null: stop
    bool attach = false;
  };
  void post(const Command& command);
  void loop();
  bool apply_commands();  // false: stop
  void forget(Attachment& attachment);
  void wait_for_events(int timeout_ms);
  // One turn for each ready queue that is not ahead of others. Returns the requests run.
  uint32_t run_round();
  // True if the queue stays in the ready list.
  bool run_turn(Attachment& attachment, uint32_t* executed);
  // A queue with requests that had run empty and was served less than `busy`, or null.
  Attachment* find_waiting(const Attachment& busy);
  bool may_interrupt(Attachment& attachment, const Attachment& busy) const;
  void serve_waiting(Attachment& attachment, const Attachment& busy, uint32_t* executed);
  void charge(Attachment& attachment, uint32_t requests);
  uint64_t level_arrears();
  bool must_rest(Attachment& attachment);
  // Those whose rest is over become ready. Returns for how long to wait for events, in ms; -1: no
  // rest ends.
  int end_rests();
  void report_closed(Attachment& attachment, CloseReason reason);

  const WorkerOptions options_;
  const UniqueFd epoll_;
  const UniqueFd command_event_;
  std::atomic<unsigned> queues_{0};

  std::mutex mutex_;
  std::condition_variable applied_;
  std::vector<Command> commands_;  // under mutex_
  std::atomic<bool> has_commands_{false};

  // State below belongs to the thread.
  Context context_;
  std::vector<Attachment*> attached_;
  std::vector<Attachment*> ready_;
  std::vector<Attachment*> became_ready_;  // in this round; ready_ must not change under it
  std::vector<Attachment*> resting_;
  size_t next_peek_ = 0;  // into attached_
  // The clock, read after each turn, event, sleep and round without work, so that it is right when
  // a round begins. In dom0 reading it may be a system call.
  uint64_t now_ns_ = 0;
  SpinBudget spin_budget_;
  bool spinning_allowed_ = false;  // in this round
  bool had_work_ = false;          // the last round ran requests
  uint64_t round_ = 0;
  uint32_t since_events_ = 0;  // weighted requests run since the epoll set was asked

  std::thread thread_;  // last: it uses everything above
};

}  // namespace tmem::transport
