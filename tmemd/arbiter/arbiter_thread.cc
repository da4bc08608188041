// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/arbiter_thread.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "tmemd/transport/thread_signals.h"

namespace tmem::arbiter {
namespace {

// Urgent reports of many guests are answered together.
constexpr uint64_t kTurnGapMs = 50;

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
  while (true) {
    const uint64_t until_ms = turn();
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    wait(until_ms);
  }
}

uint64_t ArbiterThread::turn() {
  const std::lock_guard lock(mutex_);
  const uint64_t now_ms = clock_.now_ms();
  if (tax_ != nullptr) tax_->turn(now_ms);
  if (arbiter_ == nullptr) return now_ms + TaxCollector::kPeriodMs;
  if (arbiter_->handle_events(now_ms) || std::exchange(now_, false))
    due_ms_ = std::min(due_ms_, last_ms_ + kTurnGapMs);
  if (now_ms < due_ms_) return due_ms_;
  arbiter_->turn(now_ms);
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

nlohmann::json ArbiterThread::describe() const {
  const std::lock_guard lock(mutex_);
  return arbiter_->describe(clock_.now_ms());
}

Result<nlohmann::json> ArbiterThread::change(const Change& change) {
  const std::lock_guard lock(mutex_);
  TMEM_CHECK(arbiter_->change(change));
  now_ = true;
  (void)eventfd_write(wake_.get(), 1);
  return arbiter_->describe(clock_.now_ms());
}

Result<nlohmann::json> ArbiterThread::why(const std::optional<std::string>& guest) const {
  const std::lock_guard lock(mutex_);
  return arbiter_->why(guest, clock_.now_ms());
}

}  // namespace tmem::arbiter
