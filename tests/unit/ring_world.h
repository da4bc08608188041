// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's end of one queue in private memory, and the daemon's executor on it, run by hand.
#pragma once
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "libtmem/base/shared_word.h"
#include "tests/unit/store_world.h"
#include "tmemd/transport/queue.h"

namespace tmem::transport {

class CountingDoorbell final : public Doorbell {
 public:
  void ring() override { ++rung; }
  unsigned rung = 0;
};

// No object of this struct moves: the queue refers to it.
struct RingWorld {
  static constexpr uint32_t kOrder = 1;  // 32 entries
  static constexpr uint32_t kSlots = 8;

  explicit RingWorld(uint32_t first_counter = 0, const QueueOptions& wanted = {})
      : client(world.add(1)), options(wanted), lines(layout.bytes / sizeof(Line)) {
    auto viewed = RingView::over(memory(), kOrder, kSlots);
    REQUIRE(viewed);
    view = *viewed;
    initialise_control(*view, {0, epoch(), {options.number, options.queues, 0}});
    view->control().req_prod = first_counter;
    view->control().rsp_prod = first_counter;
    view->control().req_event = first_counter - 1;  // in the past: no notification wanted
    view->control().rsp_event = first_counter - 1;
    produced = consumed = first_counter;
    REQUIRE(attach());
  }
  RingWorld(const RingWorld&) = delete;
  RingWorld& operator=(const RingWorld&) = delete;

  // Negotiates credits, at most `outstanding_max` at once, and attaches anew.
  void use_credits(uint32_t outstanding_max, CreditsLeft left = {}) {
    queue.reset();
    credits.reset();
    auto opened = Credits::open(*world.store, client, view->control(), outstanding_max, left);
    REQUIRE(opened);
    credits = *std::move(opened);
    options.credits = credits.get();
    REQUIRE(attach());
  }

  bool attach() {
    auto attached = Queue::attach(*view, options, *world.store, client, doorbell);
    if (!attached) return false;
    queue = *std::move(attached);
    return true;
  }

  uint64_t epoch() const { return store::Store::epoch(*client); }
  tmem_control_page& control() { return view->control(); }
  std::span<std::byte> memory() { return std::as_writable_bytes(std::span<Line>(lines)); }
  std::byte* slot(uint32_t number) {
    return memory().data() + layout.slots_offset_bytes + number * kPageBytes;
  }
  void fill_slot(uint32_t number, const store::Page& page) {
    std::memcpy(slot(number), page.data(), kPageBytes);
  }
  bool slot_is(uint32_t number, const store::Page& page) {
    return std::memcmp(slot(number), page.data(), kPageBytes) == 0;
  }

  tmem_request request(uint8_t op, uint32_t pool = 0, uint32_t index = 0,
                       uint32_t slot_number = TMEM_NO_SLOT) const {
    tmem_request wire{};
    wire.op = op;
    wire.pool = pool;
    wire.epoch = epoch();
    wire.u.page.index = index;
    wire.u.page.slot = slot_number;
    return wire;
  }

  // Puts a request into the ring; its id is its counter + 1000.
  void post(tmem_request wire) {
    wire.id = uint64_t{produced} + 1000;
    std::memcpy(memory().data() + layout.requests_offset_bytes +
                    (produced & (layout.entries - 1)) * sizeof(wire),
                &wire, sizeof(wire));
    store_release(control().req_prod, ++produced);
  }
  Queue::Turn run(uint32_t requests_max = 1000) { return queue->run(context, requests_max); }

  // The next answer's status; nothing if there is none or it has another request's id.
  std::optional<store::Status> answer() {
    if (consumed == control().rsp_prod) return std::nullopt;
    tmem_response response{};
    std::memcpy(&response,
                memory().data() + layout.responses_offset_bytes +
                    (consumed & (layout.entries - 1)) * sizeof(response),
                sizeof(response));
    if (response.id != uint64_t{consumed} + 1000 || response.reserved0 != 0 ||
        response.reserved1 != 0)
      return std::nullopt;
    ++consumed;
    return static_cast<store::Status>(response.status);
  }
  std::optional<store::Status> call(const tmem_request& wire) {
    post(wire);
    (void)run();
    return answer();
  }
  uint64_t refusals(Refusal refusal) const {
    return queue->counters().refusals[static_cast<size_t>(refusal)].get();
  }

  struct alignas(64) Line {
    std::array<std::byte, 64> bytes{};
  };

  store::World world;
  store::ClientRef client;
  QueueOptions options;
  const RingLayout layout = RingLayout::of(kOrder, kSlots);
  std::vector<Line> lines;
  std::optional<RingView> view;
  CountingDoorbell doorbell;
  Context context;
  uint32_t produced = 0;
  uint32_t consumed = 0;
  std::unique_ptr<Credits> credits;
  std::unique_ptr<Queue> queue;
};

}  // namespace tmem::transport
