// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/workers.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "tmemd/transport/worker_thread.h"

namespace tmem::transport {

unsigned default_worker_threads() {
  const auto cpus = sysconf(_SC_NPROCESSORS_ONLN);
  return static_cast<unsigned>(std::clamp(cpus, 1L, 4L));
}

bool spinning_makes_sense() {
  return sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

Attachment::Attachment(WorkerThread& thread, std::unique_ptr<Queue> queue, int wake_fd,
                       std::function<void(CloseReason)> on_closed)
    : thread_(thread),
      queue_(std::move(queue)),
      wake_fd_(wake_fd),
      on_closed_(std::move(on_closed)) {}

Attachment::~Attachment() {
  thread_.detach(*this);
}

Workers::Workers() = default;
Workers::~Workers() = default;

Result<std::unique_ptr<Workers>> Workers::start(const WorkerOptions& options) {
  std::unique_ptr<Workers> workers(new Workers());
  for (unsigned i = 0; i < std::max(1u, options.threads); ++i) {
    TMEM_TRY(auto thread, WorkerThread::start(options, i));
    workers->threads_.push_back(std::move(thread));
  }
  return workers;
}

Result<std::unique_ptr<Attachment>> Workers::attach(std::unique_ptr<Queue> queue, int wake_fd,
                                                    std::function<void(CloseReason)> on_closed) {
  const auto least =
      std::min_element(threads_.begin(), threads_.end(),
                       [](const auto& a, const auto& b) { return a->queues() < b->queues(); });
  WorkerThread& thread = **least;
  auto attachment =
      std::make_unique<Attachment>(thread, std::move(queue), wake_fd, std::move(on_closed));
  TMEM_CHECK(thread.attach(*attachment));
  return attachment;
}

unsigned Workers::threads() const {
  return static_cast<unsigned>(threads_.size());
}

uint64_t Workers::cpu_ns() const {
  uint64_t sum = 0;
  for (const auto& thread : threads_) sum += thread->cpu_ns();
  return sum;
}

}  // namespace tmem::transport
