// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/loopback/connection.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

namespace tmem::transport {

void PipeDoorbell::ring() {
  const char byte = 0;
  // EAGAIN: the pipe is full, so the client has a wake-up to see. EPIPE: it is gone (SIGPIPE is
  // blocked in our threads); the socket tells the server.
  const ssize_t written = ::write(write_end_.get(), &byte, 1);
  (void)written;
}

Result<std::unique_ptr<Connection>> Connection::open(const ConnectionOptions& options,
                                                     store::Store& store, store::ClientRef client,
                                                     Workers& workers) {
  std::unique_ptr<Connection> connection(new Connection(options.grant, store, std::move(client)));
  TMEM_CHECK(connection->create_memory());
  connection->queues_.reserve(options.grant.queues);
  for (uint32_t number = 0; number < options.grant.queues; ++number)
    TMEM_CHECK(connection->open_queue(number, options, workers));
  return connection;
}

Connection::~Connection() {
  for (QueueEnd& queue : queues_) queue.attachment.reset();
  store_.remove_client(*client_);
}

Result<void> Connection::create_memory() {
  memfd_ = UniqueFd(memfd_create("tmem-loopback", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd_) return fail_os("cannot create the shared memory");
  if (ftruncate(memfd_.get(), static_cast<off_t>(grant_.memory_bytes)) != 0)
    return fail_os("cannot size the shared memory");
  if (fcntl(memfd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail_os("cannot seal the shared memory");
  TMEM_TRY(memory_, Mapping::shared(memfd_.get(), grant_.memory_bytes));
  return {};
}

Result<void> Connection::open_queue(uint32_t number, const ConnectionOptions& options,
                                    Workers& workers) {
  const size_t bytes = RingLayout::of(grant_.ring_order, grant_.slots).bytes;
  const auto memory = memory_.bytes().subspan(number * bytes, bytes);
  TMEM_TRY(const RingView ring, RingView::over(memory, grant_.ring_order, grant_.slots));
  initialise_control(ring,
                     {grant_.features, store::Store::epoch(*client_), {number, grant_.queues, 0}});
  if (number == 0 && (grant_.features & TMEM_FEATURE_CREDITS) != 0) {
    TMEM_TRY(credits_, Credits::open(store_, client_, ring.control(),
                                     grant_.queues * tmem_slots_for_persistent(grant_.slots)));
  }

  QueueEnd& end = queues_.emplace_back();
  end.doorbell = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!end.doorbell) return fail_os("cannot create an eventfd");
  std::array<int, 2> pipe_fds{-1, -1};
  if (pipe2(pipe_fds.data(), O_CLOEXEC | O_NONBLOCK) != 0) return fail_os("cannot create a pipe");
  end.client_wake = UniqueFd(pipe_fds[0]);
  end.wake = std::make_unique<PipeDoorbell>(UniqueFd(pipe_fds[1]));

  QueueOptions queue_options;
  queue_options.number = number;
  queue_options.queues = grant_.queues;
  queue_options.credits = credits_.get();
  queue_options.bad_requests_max = options.bad_requests_max;
  TMEM_TRY(auto queue, Queue::attach(ring, queue_options, store_, client_, *end.wake));
  TMEM_TRY(end.attachment, workers.attach(std::move(queue), end.doorbell.get(), options.on_closed));
  return {};
}

std::vector<int> Connection::client_fds() const {
  std::vector<int> fds = {memfd_.get()};
  for (const QueueEnd& queue : queues_) {
    fds.push_back(queue.doorbell.get());
    fds.push_back(queue.client_wake.get());
  }
  return fds;
}

void Connection::release_client_fds() {
  memfd_.reset();
  for (QueueEnd& queue : queues_) queue.client_wake.reset();
}

QueueTotals Connection::totals() const {
  QueueTotals totals;
  for (const QueueEnd& queue : queues_) totals += queue.attachment->counters();
  return totals;
}

}  // namespace tmem::transport
