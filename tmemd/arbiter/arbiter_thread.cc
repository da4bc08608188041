// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/arbiter_thread.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "tmemd/transport/thread_signals.h"

namespace tmem::arbiter {
namespace {

// Urgent reports of many guests are answered together.
constexpr uint64_t kTurnGapMs = 50;
constexpr std::chrono::seconds kChangeWait{2};

}  // namespace

ArbiterThread::ArbiterThread(std::unique_ptr<Arbiter> arbiter, std::unique_ptr<TaxCollector> tax,
                             const Clock& clock)
    : arbiter_(std::move(arbiter)),
      tax_(std::move(tax)),
      clock_(clock),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Result<std::unique_ptr<ArbiterThread>> ArbiterThread::start(std::unique_ptr<Arbiter> arbiter,
                                                            std::unique_ptr<TaxCollector> tax,
                                                            const Clock& clock) {
  std::unique_ptr<ArbiterThread> thread(
      new ArbiterThread(std::move(arbiter), std::move(tax), clock));
  if (!thread->wake_) return fail_os("cannot create an eventfd");
  if (thread->arbiter_ != nullptr) thread->publish();
  try {
    thread->thread_ = std::thread([raw = thread.get()] { raw->loop(); });
  } catch (const std::system_error& error) {
    return fail(Errc::kOs, std::string("cannot start the policy's thread: ") + error.what());
  }
  (void)pthread_setname_np(thread->thread_.native_handle(), "tmem-policy");
  return thread;
}

ArbiterThread::~ArbiterThread() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  (void)eventfd_write(wake_.get(), 1);
  thread_.join();
}

void ArbiterThread::loop() {
  transport::block_signals_in_this_thread();
  std::unique_lock lock(mutex_);
  while (!stop_) {
    in_turn_ = true;
    const bool now = std::exchange(now_, false);
    lock.unlock();
    const uint64_t until_ms = turn(now);
    lock.lock();
    in_turn_ = false;
    turn_ended_.notify_all();
    if (stop_) return;
    lock.unlock();
    wait(until_ms);
    lock.lock();
  }
}

uint64_t ArbiterThread::turn(bool now) {
  const uint64_t now_ms = clock_.now_ms();
  if (tax_ != nullptr) tax_->turn(now_ms);
  if (arbiter_ == nullptr) return now_ms + TaxCollector::kPeriodMs;
  if (arbiter_->handle_events(now_ms) || now) due_ms_ = std::min(due_ms_, last_ms_ + kTurnGapMs);
  if (now_ms < due_ms_) return due_ms_;
  arbiter_->turn(now_ms);
  publish();
  last_ms_ = now_ms;
  due_ms_ = now_ms + arbiter_->period_ms();
  return due_ms_;
}

void ArbiterThread::wait(uint64_t until_ms) const {
  std::array<pollfd, 2> fds = {
      {{wake_.get(), POLLIN, 0}, {arbiter_ != nullptr ? arbiter_->event_fd() : -1, POLLIN, 0}}};
  const uint64_t now_ms = clock_.now_ms();
  const uint64_t wait_ms = std::min<uint64_t>(until_ms - std::min(until_ms, now_ms), 60'000);
  (void)::poll(fds.data(), fds.size(), static_cast<int>(wait_ms));
  eventfd_t ignored = 0;
  (void)eventfd_read(wake_.get(), &ignored);
}

void ArbiterThread::publish() {
  auto view = std::make_shared<const View>(arbiter_->look());
  const std::lock_guard lock(view_mutex_);
  view_.swap(view);
}

std::shared_ptr<const View> ArbiterThread::view() const {
  const std::lock_guard lock(view_mutex_);
  return view_;
}

nlohmann::json ArbiterThread::describe() const {
  return view()->describe(clock_.now_ms());
}

Result<nlohmann::json> ArbiterThread::why(const std::optional<std::string>& guest) const {
  return view()->why(guest, clock_.now_ms());
}

Result<nlohmann::json> ArbiterThread::change(const Change& change) {
  std::unique_lock lock(mutex_);
  if (!turn_ended_.wait_for(lock, kChangeWait, [this] { return !in_turn_; }))
    return fail(Errc::kConflict, "the policy waits for xenstored, nothing was changed: try again");
  TMEM_CHECK(arbiter_->change(change));
  publish();
  now_ = true;
  (void)eventfd_write(wake_.get(), 1);
  return describe();
}

}  // namespace tmem::arbiter
