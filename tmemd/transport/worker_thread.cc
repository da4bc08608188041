// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/worker_thread.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "tmemd/transport/thread_signals.h"

namespace tmem::transport {
namespace {

// A turn: so many requests, fewer where these would take longer than kTurnNs.
constexpr uint32_t kRequestsPerTurn = 32;
constexpr uint32_t kRequestsPerTurnMin = 4;
constexpr uint64_t kTurnNs = 100'000;
// A new event waits for at most this many requests of queues that are busy already.
constexpr uint32_t kRequestsBetweenEvents = 64;
// ... and a round counts for at least this many, so that slow traffic does not hide others' events.
constexpr uint32_t kRoundWeight = 16;
constexpr int kEventsPerWait = 64;
// Queues that are looked at after a request, so that many idle ones cost a busy one little.
constexpr size_t kPeeksPerRequest = 8;
// A queue with requests waits while it is so far ahead of another in the time it was served.
constexpr uint64_t kLeadMaxNs = 100'000;
// A queue that was idle is served first until it has had this much more than its share, or the
// requests of a turn if they take longer: enough for a batch of a guest that thinks between
// batches. Who was busy meanwhile may wait as long.
constexpr uint64_t kArrearsNs = 1'000'000;
constexpr uint64_t kArrearsMaxNs = 10'000'000;  // whatever a guest's requests take
// A request's time is the mean of about so many.
constexpr uint64_t kRequestsMean = 256;
// While the worker has others to serve, a queue that ran empty is looked at for so long before it
// is armed: who asks again soon needs no event, which costs both ends more than most requests.
constexpr uint64_t kLingerMaxNs = 1'000'000;
// How often a queue may interrupt others' turns in a round: a batch comes in parts.
constexpr uint32_t kInterruptsPerRound = 2;

void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Result<std::unique_ptr<WorkerThread>> WorkerThread::start(const WorkerOptions& options,
                                                          unsigned index) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  UniqueFd command_event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll || !command_event) return fail_os("cannot create a worker's descriptors");
  epoll_event event{};
  event.events = EPOLLIN;  // data.ptr null: a command
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, command_event.get(), &event) != 0)
    return fail_os("cannot watch a worker's command event");
  std::unique_ptr<WorkerThread> worker(
      new WorkerThread(options, std::move(epoll), std::move(command_event)));
  try {
    worker->thread_ = std::thread([raw = worker.get()] { raw->loop(); });
  } catch (const std::system_error& error) {
    return fail(Errc::kOs, std::string("cannot start a worker thread: ") + error.what());
  }
  const std::string name = "tmem-worker-" + std::to_string(index);
  (void)pthread_setname_np(worker->thread_.native_handle(), name.c_str());
  return worker;
}

WorkerThread::WorkerThread(const WorkerOptions& options, UniqueFd epoll, UniqueFd command_event)
    : options_(options),
      epoll_(std::move(epoll)),
      command_event_(std::move(command_event)),
      spin_budget_(options.now_ns()) {}

WorkerThread::~WorkerThread() {
  if (!thread_.joinable()) return;
  post({nullptr, false});
  thread_.join();
}

void WorkerThread::post(const Command& command) {
  const std::lock_guard lock(mutex_);
  commands_.push_back(command);
  has_commands_.store(true, std::memory_order_release);
  (void)eventfd_write(command_event_.get(), 1);
}

Result<void> WorkerThread::attach(Attachment& attachment) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = &attachment;
  queues_.fetch_add(1, std::memory_order_relaxed);
  // An event that comes before the command is applied is ignored: applying it reads the ring.
  post({&attachment, true});
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, attachment.wake_fd_, &event) != 0)
    return fail_os("cannot watch a queue's event descriptor");
  return {};
}

void WorkerThread::detach(Attachment& attachment) {
  {
    const std::lock_guard lock(mutex_);
    if (attachment.detached_) return;
  }
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, attachment.wake_fd_, nullptr);
  post({&attachment, false});
  std::unique_lock lock(mutex_);
  applied_.wait(lock, [&attachment] { return attachment.detached_; });
  queues_.fetch_sub(1, std::memory_order_relaxed);
}

void Attachment::forget_arrears(uint64_t other_served_ns) {
  const uint64_t most_ns = std::clamp(kRequestsPerTurn * request_ns_, kArrearsNs, kArrearsMaxNs);
  if (other_served_ns > most_ns) served_ns_ = std::max(served_ns_, other_served_ns - most_ns);
}

uint32_t Attachment::requests_per_turn() const {
  if (request_ns_ * kRequestsPerTurn <= kTurnNs) return kRequestsPerTurn;
  return std::max(kRequestsPerTurnMin, static_cast<uint32_t>(kTurnNs / request_ns_));
}

void Attachment::charge(uint64_t took_ns, uint32_t requests) {
  served_ns_ += took_ns;
  if (requests > 0)
    request_ns_ = (request_ns_ * (kRequestsMean - requests) + took_ns) / kRequestsMean;
}

uint64_t WorkerThread::cpu_ns() const {
  clockid_t clock{};
  timespec used{};
  // native_handle() is not const, though it changes nothing.
  const pthread_t handle = const_cast<std::thread&>(thread_).native_handle();
  if (pthread_getcpuclockid(handle, &clock) != 0 || clock_gettime(clock, &used) != 0) return 0;
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

void WorkerThread::loop() {
  block_signals_in_this_thread();
  now_ns_ = options_.now_ns();
  while (true) {
    if (has_commands_.load(std::memory_order_acquire) && !apply_commands()) return;
    const int timeout_ms = end_rests();
    if (ready_.empty()) {
      wait_for_events(timeout_ms);
      continue;
    }
    const uint64_t start_ns = now_ns_;
    spinning_allowed_ = options_.may_spin && spin_budget_.allows(start_ns);
    const uint32_t executed = run_round();
    if (executed > 0) since_events_ += std::max(executed, kRoundWeight);
    if (since_events_ >= kRequestsBetweenEvents) wait_for_events(0);
    if (executed == 0 && !ready_.empty()) {
      cpu_relax();
      now_ns_ = options_.now_ns();
      spin_budget_.charge(now_ns_ - start_ns);
    }
  }
}

bool WorkerThread::apply_commands() {
  std::vector<Command> commands;
  bool stop = false;
  const std::lock_guard lock(mutex_);
  commands.swap(commands_);
  has_commands_.store(false, std::memory_order_relaxed);
  eventfd_t ignored = 0;
  (void)eventfd_read(command_event_.get(), &ignored);
  for (const Command& command : commands) {
    if (command.attachment == nullptr) {
      stop = true;
    } else if (command.attach) {
      // Read the ring once without being asked: the guest may have posted before we watched.
      command.attachment->state_ = Attachment::State::kReady;
      attached_.push_back(command.attachment);
      ready_.push_back(command.attachment);
    } else {
      forget(*command.attachment);
    }
  }
  applied_.notify_all();
  return !stop;
}

// Under mutex_. The descriptor is out of the epoll set already; events that were fetched before
// are not kept across commands.
void WorkerThread::forget(Attachment& attachment) {
  std::erase(attached_, &attachment);
  std::erase(ready_, &attachment);
  std::erase(resting_, &attachment);
  attachment.queue_->close(CloseReason::kDetached);
  attachment.detached_ = true;
}

void WorkerThread::wait_for_events(int timeout_ms) {
  since_events_ = 0;
  std::array<epoll_event, kEventsPerWait> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerWait, timeout_ms);
  if (count > 0 || timeout_ms != 0) now_ns_ = options_.now_ns();
  for (int i = 0; i < count; ++i) {
    if (events[static_cast<size_t>(i)].data.ptr == nullptr) continue;
    auto& attachment = *static_cast<Attachment*>(events[static_cast<size_t>(i)].data.ptr);
    if (attachment.state_ == Attachment::State::kClosed ||
        attachment.state_ == Attachment::State::kNew)
      continue;
    const Queue::Event event = attachment.queue_->note_event();
    attachment.rest_ns_ =
        std::max(attachment.rest_ns_, attachment.unasked_events_.note(event.asked_for));
    charge(attachment, 0);
    if (event.closed != CloseReason::kOpen) {
      std::erase(ready_, &attachment);
      std::erase(resting_, &attachment);
      report_closed(attachment, event.closed);
    } else if (attachment.state_ == Attachment::State::kArmed) {
      attachment.state_ = Attachment::State::kReady;
      attachment.last_work_ns_ = 0;  // an event alone earns no spin
      ready_.push_back(&attachment);
    }
  }
}

uint32_t WorkerThread::run_round() {
  uint32_t executed = 0;
  ++round_;
  const uint64_t limit_ns = level_arrears() + kLeadMaxNs;
  std::erase_if(ready_, [&](Attachment* attachment) {
    const bool ahead = attachment->served_ns_ > limit_ns && attachment->queue_->has_requests();
    return !ahead && !run_turn(*attachment, &executed);
  });
  ready_.insert(ready_.end(), became_ready_.begin(), became_ready_.end());
  became_ready_.clear();
  had_work_ = executed > 0;
  if (context_.saw_no_space) {
    context_.saw_no_space = false;
    if (options_.on_no_space) options_.on_no_space();
  }
  return executed;
}

bool WorkerThread::run_turn(Attachment& attachment, uint32_t* executed) {
  if (attachment.state_ == Attachment::State::kClosed) return false;  // while it interrupted
  Queue::Turn turn;
  uint32_t left = attachment.requests_per_turn();
  Attachment* waiting = nullptr;
  Queue::Interrupted interrupted;
  if (attached_.size() > 1)
    interrupted = [&] {
      // A command waits for a turn, not for what all others have in arrears.
      if (has_commands_.load(std::memory_order_relaxed)) return false;
      return (waiting = find_waiting(attachment)) != nullptr;
    };
  do {
    if (waiting != nullptr) serve_waiting(*std::exchange(waiting, nullptr), attachment, executed);
    const Queue::Turn part = attachment.queue_->run(context_, left, interrupted);
    if (part.executed > 0) charge(attachment, part.executed);
    turn = {turn.executed + part.executed, part.more, part.closed};
    left -= part.executed;
  } while (waiting != nullptr);
  *executed += turn.executed;
  if (turn.closed != CloseReason::kOpen) {
    report_closed(attachment, turn.closed);
    return false;
  }
  if (turn.executed > 0) {
    attachment.last_work_ns_ = now_ns_;
    attachment.drained_ = !turn.more;
    return true;
  }
  attachment.drained_ = true;
  const uint64_t idle_ns = now_ns_ - attachment.last_work_ns_;
  if (spinning_allowed_ && idle_ns < kSpinMaxNs) return true;
  if ((had_work_ || *executed > 0) && idle_ns < kLingerMaxNs) return true;
  if (must_rest(attachment)) return false;
  if (!attachment.queue_->arm()) return true;
  attachment.state_ = Attachment::State::kArmed;
  return false;
}

// Time, not requests: some take a hundred times as long as others, and events cost time, too.
void WorkerThread::charge(Attachment& attachment, uint32_t requests) {
  const uint64_t now_ns = options_.now_ns();
  attachment.charge(now_ns - now_ns_, requests);
  now_ns_ = now_ns;
}

// What a queue was not served while it had nothing to ask for is forgotten, but for a little.
// Returns the least that a ready queue with requests was served.
uint64_t WorkerThread::level_arrears() {
  uint64_t most_ns = 0;
  uint64_t least_ns = UINT64_MAX - kLeadMaxNs;
  for (const Attachment* one : ready_)
    if (one->queue_->has_requests()) most_ns = std::max(most_ns, one->served_ns_);
  for (Attachment* one : ready_) {
    one->forget_arrears(most_ns);
    if (one->queue_->has_requests()) least_ns = std::min(least_ns, one->served_ns_);
  }
  return least_ns;
}

// Only one that had run empty, and was served less.
Attachment* WorkerThread::find_waiting(const Attachment& busy) {
  for (size_t i = 0; i < std::min(kPeeksPerRequest, attached_.size()); ++i) {
    Attachment* const one = attached_[next_peek_++ % attached_.size()];
    if (one != &busy && may_interrupt(*one, busy) && one->queue_->has_requests()) return one;
  }
  return nullptr;
}

// A few times a round, or else who asks again and again would come after each request of others.
// One that is far behind may: it takes less than its share, and waits least that way.
bool WorkerThread::may_interrupt(Attachment& attachment, const Attachment& busy) const {
  if (attachment.served_ns_ > busy.served_ns_) return false;
  if (attachment.interrupts_round_ != round_) {
    attachment.interrupts_round_ = round_;
    attachment.interrupts_ = 0;
  }
  const bool asks_anew = attachment.state_ == Attachment::State::kArmed ||
                         (attachment.state_ == Attachment::State::kReady && attachment.drained_);
  const bool far_behind = busy.served_ns_ - attachment.served_ns_ > kLeadMaxNs;
  return asks_anew && (far_behind || attachment.interrupts_ < kInterruptsPerRound);
}

void WorkerThread::serve_waiting(Attachment& attachment, const Attachment& busy,
                                 uint32_t* executed) {
  attachment.forget_arrears(busy.served_ns_);
  const Queue::Turn turn = attachment.queue_->run(context_, kRequestsPerTurn);
  charge(attachment, turn.executed);
  *executed += turn.executed;
  if (attachment.state_ == Attachment::State::kArmed) {
    attachment.state_ = Attachment::State::kReady;
    became_ready_.push_back(&attachment);
  }
  ++attachment.interrupts_;
  attachment.drained_ = !turn.more;
  attachment.last_work_ns_ = now_ns_;
  if (turn.closed != CloseReason::kOpen) report_closed(attachment, turn.closed);
}

// Once after an event that nobody asked for.
bool WorkerThread::must_rest(Attachment& attachment) {
  if (attachment.rest_ns_ == 0) return false;
  attachment.rests_until_ns_ = now_ns_ + std::exchange(attachment.rest_ns_, 0);
  attachment.state_ = Attachment::State::kResting;
  resting_.push_back(&attachment);
  return true;
}

int WorkerThread::end_rests() {
  if (resting_.empty()) return -1;
  const uint64_t now_ns = options_.now_ns();
  uint64_t next_ns = UINT64_MAX;
  std::erase_if(resting_, [&](Attachment* attachment) {
    if (attachment->rests_until_ns_ > now_ns) {
      next_ns = std::min(next_ns, attachment->rests_until_ns_);
      return false;
    }
    attachment->state_ = Attachment::State::kReady;
    ready_.push_back(attachment);
    return true;
  });
  return next_ns == UINT64_MAX ? -1 : static_cast<int>((next_ns - now_ns) / 1'000'000 + 1);
}

void WorkerThread::report_closed(Attachment& attachment, CloseReason reason) {
  attachment.state_ = Attachment::State::kClosed;
  if (attachment.on_closed_) attachment.on_closed_(reason);
}

}  // namespace tmem::transport
