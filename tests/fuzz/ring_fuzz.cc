// SPDX-License-Identifier: GPL-2.0-or-later
// The ring's executor on a hostile guest's memory. The input becomes the queue's configuration,
// then a script: bytes written anywhere (control page, requests, slots), counters moved, turns of
// the daemon, notifications, re-attachment. Requests are mostly plausible, so that the store is
// reached too. Checked after each input: the store's invariants.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "libtmem/base/assert.h"
#include "tmemd/memory/memfd.h"
#include "tmemd/transport/queue.h"

namespace tmem::transport {
namespace {

class SilentDoorbell final : public Doorbell {
 public:
  void ring() override {}
};

// The fuzzer's bytes, taken from the front; zeroes when they are used up.
class Input {
 public:
  Input(const uint8_t* data, size_t bytes) : data_(data), left_(bytes) {}
  bool empty() const { return left_ == 0; }
  uint8_t byte() {
    uint8_t value = 0;
    copy(&value, 1);
    return value;
  }
  uint32_t word() {
    uint32_t value = 0;
    copy(&value, sizeof(value));
    return value;
  }
  void copy(void* to, size_t bytes) {
    const size_t count = std::min(bytes, left_);
    std::memcpy(to, data_, count);
    data_ += count;
    left_ -= count;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

class Guest {
 public:
  Guest(Input& input, store::Store& store, store::ClientRef client)
      : input_(input), store_(store), client_(std::move(client)) {
    order_ = input_.byte() % 8;
    slots_ = input_.byte();
    options_.queues = 1 + input_.byte() % TMEM_QUEUES_MAX;
    options_.number = input_.byte() % options_.queues;
    options_.bad_requests_max = input_.byte();
    options_.empty_events_max = input_.byte();
  }

  void run() {
    if (!RingLayout::is_valid(order_, slots_)) {
      TMEM_ASSERT(!RingView::over(memory(), order_, slots_));
      return;
    }
    layout_ = RingLayout::of(order_, slots_);
    lines_.resize(layout_.bytes / sizeof(Line));
    view_ = *RingView::over(memory(), order_, slots_);
    initialise_control(*view_, {0, epoch(), {options_.number, options_.queues, 0}});
    constexpr uint32_t kCreditsMax = 8;
    if (input_.byte() % 2 == 0)
      credits_ = *Credits::open(store_, client_, view_->control(), kCreditsMax);
    options_.credits = credits_.get();
    attach();
    while (!input_.empty() && steps_++ < kStepsMax) step();
  }

 private:
  static constexpr uint32_t kStepsMax = 4096;

  struct alignas(64) Line {
    std::array<std::byte, 64> bytes{};
  };

  std::span<std::byte> memory() { return std::as_writable_bytes(std::span<Line>(lines_)); }
  uint64_t epoch() const { return store::Store::epoch(*client_); }
  tmem_control_page& control() { return view_->control(); }

  void attach() {
    auto attached = Queue::attach(*view_, options_, store_, client_, doorbell_);
    if (attached) queue_ = *std::move(attached);
  }

  void step() {
    switch (input_.byte() % 8) {
      case 0:
        scribble();
        break;
      case 1:
        control().req_prod = input_.word();
        break;
      case 2:
        control().req_prod += input_.byte();
        break;
      case 3:
        turn();
        break;
      case 4:
        if (queue_ != nullptr && queue_->note_event().closed == CloseReason::kOpen)
          (void)queue_->arm();
        break;
      case 5:
        attach();
        break;
      default:
        post();
        break;
    }
  }

  void scribble() {
    const size_t offset = input_.word() % layout_.bytes;
    input_.copy(memory().data() + offset, std::min<size_t>(input_.byte(), layout_.bytes - offset));
  }

  void turn() {
    if (queue_ == nullptr) return;
    const Queue::Turn turn = queue_->run(context_, 1 + input_.byte());
    TMEM_ASSERT(turn.executed <= layout_.entries);
  }

  // A request that is good but for what the input spoils.
  void post() {
    tmem_request request{};
    static constexpr uint8_t kOps[] = {1, 2, 4, 5, 6, 7, 16, 17};
    request.op = kOps[input_.byte() % sizeof(kOps)];
    request.pool = input_.byte() % (TMEM_POOLS_MAX + 1);
    request.epoch = epoch();
    if (input_.byte() % 4 == 0) request.flags = TMEM_REQUEST_CREDIT;
    if (request.op == TMEM_OP_POOL_CREATE) {
      request.u.create.flags = input_.byte() % 5;
    } else {
      const bool page = request.op == TMEM_OP_PUT || request.op == TMEM_OP_GET;
      request.u.page.slot = page ? input_.byte() : TMEM_NO_SLOT;
      if (page || request.op == TMEM_OP_FLUSH_PAGE) request.u.page.index = input_.byte();
      if (request.op < TMEM_OP_POOL_FLUSH) request.u.page.oid[0] = input_.byte() % 8;
    }
    if (const uint8_t spoiled = input_.byte(); spoiled < sizeof(request))
      reinterpret_cast<uint8_t*>(&request)[spoiled] = input_.byte();
    const uint32_t at = control().req_prod & (layout_.entries - 1);
    std::memcpy(memory().data() + layout_.requests_offset_bytes + at * sizeof(request), &request,
                sizeof(request));
    ++control().req_prod;
  }

  Input& input_;
  store::Store& store_;
  const store::ClientRef client_;
  SilentDoorbell doorbell_;
  Context context_;
  uint32_t order_ = 0;
  uint32_t slots_ = 0;
  QueueOptions options_;
  RingLayout layout_;
  std::vector<Line> lines_;
  std::optional<RingView> view_;
  std::unique_ptr<Credits> credits_;
  std::unique_ptr<Queue> queue_;
  uint32_t steps_ = 0;
};

void run_one(const uint8_t* data, size_t bytes) {
  const ManualClock clock;
  auto provider = memory::create_memfd_provider({.bytes_max = 8 * kMiB});
  TMEM_ASSERT(provider);
  auto store = store::Store::create({.budget_bytes = 8 * kMiB}, **provider, clock, 1);
  TMEM_ASSERT(store);
  auto client = (*store)->add_client({{1}, DomId{1}, "fuzz"}, {});
  TMEM_ASSERT(client);
  Input input(data, bytes);
  Guest(input, **store, *client).run();
  const auto broken = (*store)->check_invariants();
  if (broken) (void)std::fprintf(stderr, "%s\n", broken->c_str());
  TMEM_ASSERT(!broken);
  (*store)->remove_client(**client);
}

}  // namespace
}  // namespace tmem::transport

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  tmem::transport::run_one(data, bytes);
  return 0;
}
