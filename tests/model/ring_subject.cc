// SPDX-License-Identifier: GPL-2.0-or-later
// Operations through the ring's executor (tmemd/transport/queue.h) in private memory, without
// threads: several queues a client, small rings that wrap often, turns of random length, and a
// daemon that now and then crashes between running a request and publishing its answer.
#include "tests/model/ring_subject.h"

#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "libtmem/base/ring_layout.h"
#include "libtmem/base/shared_word.h"
#include "tests/model/rng.h"
#include "tmemd/transport/queue.h"
#include "tmemd/transport/ring_view.h"

namespace tmem::model {
namespace {

using store::Status;
using transport::Queue;
using transport::RingView;

class SilentDoorbell final : public transport::Doorbell {
 public:
  void ring() override {}
};

// The guest's and the daemon's end of one queue.
class Ring {
 public:
  struct Posted {
    Operation op;
    uint64_t id = 0;
    uint32_t slot = TMEM_NO_SLOT;
  };

  static Result<std::unique_ptr<Ring>> open(const transport::QueueShape& shape, uint32_t order,
                                            store::Store& store, const store::ClientRef& client) {
    auto ring = std::unique_ptr<Ring>(new Ring(shape, order, store, client));
    TMEM_TRY(const RingView view, RingView::over(ring->bytes(), order, shape.slots));
    ring->view_ = view;
    initialise_control(view, {0, store::Store::epoch(*client), shape});
    TMEM_CHECK(ring->attach());
    return ring;
  }

  bool is_full() const { return posted_.size() >= view_->entries() || free_slots_.empty(); }
  bool is_idle() const { return posted_.empty(); }

  void post(const Operation& op, const Contents& contents) {
    Posted posted{op, ++last_id_, TMEM_NO_SLOT};
    const bool has_page = op.kind == OpKind::kPut || op.kind == OpKind::kStalePut ||
                          op.kind == OpKind::kGet || op.kind == OpKind::kStaleGet;
    if (has_page) {
      posted.slot = free_slots_.front();
      free_slots_.pop_front();
    }
    if (op.kind == OpKind::kPut || op.kind == OpKind::kStalePut)
      contents.fill(op.content, page(posted.slot));
    const tmem_request request = encode(posted);
    std::memcpy(entry(produced_), &request, sizeof request);
    posted_.push_back(posted);
    store_release(view_->control().req_prod, ++produced_);
  }

  // One turn of the daemon. False if the judge stopped.
  bool run(transport::Context& context, uint32_t requests_max, const Judge& judge) {
    (void)queue_->run(context, requests_max);
    const uint32_t answered = load_acquire(view_->control().rsp_prod);
    std::optional<Posted> last;
    while (consumed_ != answered && !posted_.empty()) {
      const Posted posted = posted_.front();
      posted_.pop_front();
      if (!answer(posted, judge)) return false;
      last = posted;
    }
    // A queue that was closed answers no more.
    if (load_acquire(view_->control().closed) != 0)
      return judge(last ? last->op : Operation{}, Status::kBadRequest, page(0));
    last_ = last;
    return true;
  }

  // The daemon dies after it ran the last request and before it published the answer; its
  // successor runs that request again. Nothing else may be in the ring.
  bool crash(transport::Context& context, const Judge& judge) {
    if (!last_ || !posted_.empty()) return true;
    std::erase(free_slots_, last_->slot);
    posted_.push_back(*last_);
    store_release(view_->control().rsp_prod, --consumed_);
    if (!attach()) return judge(last_->op, Status::kBadRequest, page(0));
    return run(context, 1, judge);
  }

 private:
  Ring(const transport::QueueShape& shape, uint32_t order, store::Store& store,
       store::ClientRef client)
      : shape_(shape),
        store_(store),
        client_(std::move(client)),
        layout_(RingLayout::of(order, shape.slots)),
        memory_(layout_.bytes / sizeof(Line)) {
    for (uint32_t slot = 0; slot < shape.slots; ++slot) free_slots_.push_back(slot);
  }

  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span<Line>(memory_)); }
  store::PageBuffer page(uint32_t slot) {
    return store::PageBuffer(bytes().data() + layout_.slots_offset_bytes + slot * kPageBytes,
                             kPageBytes);
  }
  std::byte* entry(uint32_t counter) {
    return bytes().data() + layout_.requests_offset_bytes +
           (counter & (layout_.entries - 1)) * sizeof(tmem_request);
  }

  Result<void> attach() {
    const transport::QueueOptions options = {.number = shape_.number,
                                             .queues = shape_.queues,
                                             .bad_requests_max = 0,
                                             .empty_events_max = 4096};
    TMEM_TRY(queue_, Queue::attach(*view_, options, store_, client_, doorbell_));
    return {};
  }

  bool answer(const Posted& posted, const Judge& judge) {
    tmem_response response{};
    std::memcpy(&response,
                bytes().data() + layout_.responses_offset_bytes +
                    (consumed_ & (layout_.entries - 1)) * sizeof response,
                sizeof response);
    ++consumed_;
    auto status = static_cast<Status>(response.status);
    if (response.id != posted.id || response.reserved0 != 0 || response.reserved1 != 0)
      status = Status::kBadRequest;
    const bool goes_on =
        judge(posted.op, status, page(posted.slot == TMEM_NO_SLOT ? 0 : posted.slot));
    if (posted.slot != TMEM_NO_SLOT) free_slots_.push_back(posted.slot);
    return goes_on;
  }

  tmem_request encode(const Posted& posted) const {
    const Operation& op = posted.op;
    tmem_request request{};
    request.op = wire_op(op.kind);
    request.pool = static_cast<uint32_t>(op.key.pool);
    request.id = posted.id;
    const bool stale = op.kind == OpKind::kStaleGet || op.kind == OpKind::kStalePut ||
                       op.kind == OpKind::kStaleFlush;
    request.epoch = store::Store::epoch(*client_) ^ (stale ? 1 : 0);
    if (op.kind == OpKind::kCreatePool) {
      request.u.create.flags =
          (op.spec.kind == store::Kind::kPersistent ? TMEM_POOL_PERSISTENT : 0u) |
          (op.spec.shared ? TMEM_POOL_SHARED : 0u);
      std::memcpy(request.u.create.uuid, op.spec.uuid.data(), op.spec.uuid.size());
      return request;
    }
    request.u.page.slot = posted.slot;
    if (request.op == TMEM_OP_POOL_DESTROY || request.op == TMEM_OP_POOL_FLUSH) return request;
    std::memcpy(request.u.page.oid, op.key.object.word.data(), sizeof request.u.page.oid);
    request.u.page.index = op.key.index;
    return request;
  }

  static uint8_t wire_op(OpKind kind) {
    switch (kind) {
      case OpKind::kPut:
      case OpKind::kStalePut:
        return TMEM_OP_PUT;
      case OpKind::kGet:
      case OpKind::kStaleGet:
        return TMEM_OP_GET;
      case OpKind::kFlushPage:
      case OpKind::kStaleFlush:
        return TMEM_OP_FLUSH_PAGE;
      case OpKind::kFlushObject:
        return TMEM_OP_FLUSH_OBJECT;
      case OpKind::kFlushPool:
        return TMEM_OP_POOL_FLUSH;
      case OpKind::kCreatePool:
        return TMEM_OP_POOL_CREATE;
      case OpKind::kDestroyPool:
        return TMEM_OP_POOL_DESTROY;
      default:
        return TMEM_OP_NOP;
    }
  }

  struct alignas(64) Line {
    std::array<std::byte, 64> bytes{};
  };

  const transport::QueueShape shape_;
  store::Store& store_;
  const store::ClientRef client_;
  const RingLayout layout_;
  std::vector<Line> memory_;
  SilentDoorbell doorbell_;
  std::optional<RingView> view_;
  std::unique_ptr<Queue> queue_;
  uint32_t produced_ = 0;
  uint32_t consumed_ = 0;
  uint64_t last_id_ = 0;
  std::deque<uint32_t> free_slots_;
  std::deque<Posted> posted_;
  std::optional<Posted> last_;  // of the last turn
};

class RingSubject final : public Subject {
 public:
  RingSubject(store::Store& store, const Contents& contents, const Shape& shape)
      : store_(store), contents_(contents), queues_(shape.queues), rng_(shape.object_base + 1) {}

  Result<store::ClientRef> connect(uint32_t client, const store::ClientIdentity& identity,
                                   const store::ClientSettings& settings) override {
    TMEM_TRY(store::ClientRef ref, store_.add_client(identity, settings));
    clients_[client] = ref;
    rings_[client].clear();
    const uint32_t order = 1 + rng_.below(3);
    const uint32_t slots = TMEM_SLOTS_MIN + rng_.below(32);
    for (uint32_t number = 0; number < queues_; ++number) {
      TMEM_TRY(auto ring, Ring::open({number, queues_, slots}, order, store_, ref));
      rings_[client].push_back(std::move(ring));
    }
    return ref;
  }
  // Its rings stay: what comes through them must be answered kNoSuchPool.
  void disconnect(uint32_t client) override { store_.remove_client(*clients_[client]); }

  void run(std::span<const Operation> ops, const Judge& judge) override {
    for (const Operation& op : ops) {
      // Malformed already for the ring, which would close the queue.
      if (op.kind == OpKind::kCreatePool && op.spec.shared &&
          op.spec.kind == store::Kind::kPersistent)
        continue;
      if (is_pool_op(op.kind)) {
        if (!run_all(judge)) return;
        rings_[op.client][0]->post(op, contents_);
        if (!run_all(judge)) return;
        continue;
      }
      Ring& ring = *rings_[op.client][tmem_queue_of(static_cast<uint32_t>(op.key.pool),
                                                    op.key.object.word.data(), queues_)];
      if (ring.is_full() && !drain(ring, judge)) return;
      ring.post(op, contents_);
    }
    (void)run_all(judge);
  }

 private:
  static bool is_pool_op(OpKind kind) {
    return kind == OpKind::kCreatePool || kind == OpKind::kDestroyPool ||
           kind == OpKind::kFlushPool;
  }

  bool drain(Ring& ring, const Judge& judge) {
    while (!ring.is_idle())
      if (!ring.run(context_, 1 + rng_.below(40), judge)) return false;
    return !rng_.one_in(100) || ring.crash(context_, judge);
  }
  bool run_all(const Judge& judge) {
    for (auto& rings : rings_)
      for (const auto& ring : rings)
        if (!ring->is_idle() && !drain(*ring, judge)) return false;
    return true;
  }

  store::Store& store_;
  const Contents& contents_;
  const uint32_t queues_;
  Rng rng_;
  transport::Context context_;
  std::array<store::ClientRef, kClientsMax> clients_;
  std::array<std::vector<std::unique_ptr<Ring>>, kClientsMax> rings_;
};

}  // namespace

std::unique_ptr<Subject> make_ring_subject(store::Store& store, const Contents& contents,
                                           const Shape& shape) {
  return std::make_unique<RingSubject>(store, contents, shape);
}

}  // namespace tmem::model
