// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libtmem/src/client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "libtmem/base/mutation.h"
#include "libtmem/src/run.h"

namespace tmem::client {
namespace {

constexpr uint32_t kSpinStartNs = 20'000;
constexpr size_t kOpsOnStack = 64;

bool is_valid(const tmem_batch_op& op) {
  if (op.key.pool >= TMEM_POOLS_MAX) return false;
  switch (op.op) {
    case TMEM_OP_PUT:
    case TMEM_OP_GET:
      return op.page != nullptr;
    case TMEM_OP_FLUSH_PAGE:
    case TMEM_OP_FLUSH_OBJECT:
      return true;
    default:
      return false;
  }
}

}  // namespace

Client::Client(Session session, uint32_t timeout_ms)
    : session_(std::move(session)),
      timeout_ms_(static_cast<int>(std::min(timeout_ms, uint32_t{INT32_MAX}))),
      may_spin_(sysconf(_SC_NPROCESSORS_ONLN) > 1),
      spin_ns_(may_spin_ ? kSpinStartNs : 0) {
  const size_t bytes = session_.layout.bytes;
  for (size_t i = 0; i < session_.ends.size(); ++i)
    queues_.push_back(std::make_unique<Queue>(
        session_.memory.bytes().subspan(i * bytes, bytes), session_.layout, session_.store_epoch,
        session_.ends[i].doorbell.get(), session_.ends[i].wake.get()));
}

uint32_t Client::queue_of(const tmem_key& key) const {
  const auto queues = static_cast<uint32_t>(queues_.size());
  const uint32_t number = tmem_queue_of(key.pool, key.oid, queues);
  if (TMEM_MUTATED(kKeyOnTwoQueues) && key.index % 2 == 1) return (number + 1) % queues;
  return number;
}

Operation Client::operation_for(tmem_batch_op& op) const {
  Operation operation;
  operation.wire.op = op.op;
  operation.wire.pool = op.key.pool;
  std::copy(std::begin(op.key.oid), std::end(op.key.oid), std::begin(operation.wire.u.page.oid));
  operation.wire.u.page.index = op.key.index;
  operation.wire.u.page.slot = TMEM_NO_SLOT;
  operation.status = &op.status;
  if (op.op == TMEM_OP_PUT) operation.put = op.page;
  if (op.op == TMEM_OP_GET) operation.get = op.page;
  operation.persistent =
      (persistent_pools_.load(std::memory_order_relaxed) >> op.key.pool & 1) != 0;
  return operation;
}

int Client::run(std::span<tmem_batch_op> ops) {
  std::array<uint8_t, kOpsOnStack> on_stack;
  std::vector<uint8_t> on_heap;
  std::span<uint8_t> queue_numbers = on_stack;
  if (ops.size() > kOpsOnStack) {
    on_heap.resize(ops.size());
    queue_numbers = on_heap;
  }
  queue_numbers = queue_numbers.first(ops.size());
  int first_error = 0;
  for (size_t i = 0; i < ops.size(); ++i) {
    const bool valid = is_valid(ops[i]);
    ops[i].status = valid ? kUnanswered : -EINVAL;
    queue_numbers[i] = valid ? static_cast<uint8_t>(queue_of(ops[i].key)) : Run::kNoQueue;
  }
  (void)Run(*this, ops, queue_numbers).run();
  for (const tmem_batch_op& op : ops)
    if (op.status < 0 && first_error == 0) first_error = op.status;
  return first_error;
}

int Client::run_pool(const tmem_request& wire) {
  std::vector<std::unique_lock<std::mutex>> locks;
  locks.reserve(queues_.size());
  for (const auto& queue : queues_) locks.emplace_back(queue->mutex);
  int status = kUnanswered;
  Operation operation;
  operation.wire = wire;
  operation.status = &status;
  if (const int error = Run(*this, {}, {}).run_one(operation); error < 0) return error;
  if (wire.op == TMEM_OP_POOL_CREATE && status == TMEM_OK) {
    const uint32_t bit = 1u << wire.pool;
    if ((wire.u.create.flags & TMEM_POOL_PERSISTENT) != 0)
      persistent_pools_.fetch_or(bit, std::memory_order_relaxed);
    else
      persistent_pools_.fetch_and(~bit, std::memory_order_relaxed);
  }
  return status;
}

int Client::give_up(int error) {
  int expected = 0;
  if (dead_.compare_exchange_strong(expected, error)) {
    (void)::shutdown(session_.socket.get(), SHUT_RDWR);
    return error;
  }
  return expected;
}

}  // namespace tmem::client
