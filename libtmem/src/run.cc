// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libtmem/src/run.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <mutex>

namespace tmem::client {
namespace {

constexpr uint32_t kSpinMaxNs = 50'000;
constexpr uint32_t kSpinMinNs = 2'000;
constexpr uint32_t kSpinAgainEvery = 64;  // sleeps, when spinning had been given up
constexpr uint32_t kSpinAgainNs = 10'000;
constexpr int kLooksPerClock = 16;

void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

int Run::run() {
  uint32_t involved = 0;
  for (const uint8_t number : queue_of_)
    if (number != kNoQueue) involved |= 1u << number;
  std::array<std::unique_lock<std::mutex>, TMEM_QUEUES_MAX> locks;
  for (uint32_t number = 0; number < client_.queues_.size(); ++number) {
    if ((involved >> number & 1) == 0) continue;
    locks[number] = std::unique_lock(client_.queues_[number]->mutex);
    lanes_[number].queue = client_.queues_[number].get();
  }
  const int result = client_.dead() != 0 ? client_.dead() : run_lanes();
  if (result < 0)
    for (tmem_batch_op& op : ops_)
      if (op.status == kUnanswered) op.status = result;
  return result;
}

int Run::run_one(const Operation& operation) {
  if (client_.dead() != 0) return client_.dead();
  Lane& lane = lanes_[0];
  lane.queue = client_.queues_[0].get();
  lane.all_posted = true;
  if (!lane.queue->post(operation)) return client_.give_up(-EPROTO);
  lane.queue->publish();
  return run_lanes();
}

int Run::run_lanes() {
  while (true) {
    bool progress = false;
    bool finished = true;
    for (uint32_t number = 0; number < lanes_.size(); ++number) {
      Lane& lane = lanes_[number];
      if (lane.queue == nullptr) continue;
      if (const int error = advance(number, lane, &progress); error < 0) return error;
      if (!lane.all_posted || lane.queue->outstanding() > 0) finished = false;
    }
    if (finished) return 0;
    if (progress) continue;
    if (const int error = wait(); error < 0) return error;
  }
}

int Run::advance(uint32_t number, Lane& lane, bool* progress) {
  if (lane.queue->outstanding() > 0) {
    const int collected = lane.queue->collect();
    if (collected < 0) return client_.give_up(-ENOTCONN);
    if (collected > 0) *progress = true;
  }
  while (!lane.all_posted && post_next(number, lane)) *progress = true;
  lane.queue->publish();
  return 0;
}

// False: nothing could be posted now, or all is.
bool Run::post_next(uint32_t number, Lane& lane) {
  while (lane.next < ops_.size() && queue_of_[lane.next] != number) ++lane.next;
  if (lane.next == ops_.size()) {
    lane.all_posted = true;
    return false;
  }
  if (!lane.queue->post(client_.operation_for(ops_[lane.next]))) return false;
  ++lane.next;
  return true;
}

int Run::wait() {
  for (const Lane& lane : lanes_)
    if (lane.queue != nullptr && lane.queue->is_closed() && !lane.queue->has_responses())
      return client_.give_up(-ENOTCONN);
  return spin() ? 0 : sleep();
}

bool Run::any_responses() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return lane.queue != nullptr && lane.queue->outstanding() > 0 && lane.queue->has_responses();
  });
}

bool Run::spin() {
  uint32_t limit_ns = client_.spin_ns_.load(std::memory_order_relaxed);
  if (limit_ns == 0) {
    if (!client_.may_spin_ ||
        client_.sleeps_.fetch_add(1, std::memory_order_relaxed) % kSpinAgainEvery != 0)
      return false;
    limit_ns = kSpinAgainNs;
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(limit_ns);
  do {
    for (int i = 0; i < kLooksPerClock; ++i) {
      if (any_responses()) {
        learn(true);
        return true;
      }
      cpu_relax();
    }
  } while (std::chrono::steady_clock::now() < until);
  learn(false);
  return false;
}

void Run::learn(bool spinning_paid) {
  const uint32_t spin_ns = client_.spin_ns_.load(std::memory_order_relaxed);
  uint32_t next_ns = spin_ns / 2;
  if (spinning_paid)
    next_ns = std::clamp(spin_ns * 2, kSpinAgainNs, kSpinMaxNs);
  else if (next_ns < kSpinMinNs)
    next_ns = 0;
  if (next_ns != spin_ns) client_.spin_ns_.store(next_ns, std::memory_order_relaxed);
}

int Run::sleep() {
  std::array<pollfd, TMEM_QUEUES_MAX + 1> fds{};
  std::array<const Queue*, TMEM_QUEUES_MAX> queues{};
  nfds_t count = 0;
  for (Lane& lane : lanes_) {
    if (lane.queue == nullptr || lane.queue->outstanding() == 0) continue;
    if (!lane.queue->arm(!lane.all_posted)) return 0;
    queues[count] = lane.queue;
    fds[count++] = {lane.queue->wake_fd(), POLLIN, 0};
  }
  fds[count] = {client_.session_.socket.get(), POLLIN, 0};
  const int ready = ::poll(fds.data(), count + 1, client_.timeout_ms_);
  if (ready == 0) return any_responses() ? 0 : client_.give_up(-ETIMEDOUT);
  if (ready < 0) return 0;  // a signal: look again
  for (nfds_t i = 0; i < count; ++i)
    if (fds[i].revents != 0) queues[i]->drain_wake();
  // The daemon never writes to the socket after the handshake: it is gone.
  if (fds[count].revents != 0 && !any_responses()) return client_.give_up(-ENOTCONN);
  return 0;
}

}  // namespace tmem::client
