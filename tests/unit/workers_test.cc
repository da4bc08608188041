// SPDX-License-Identifier: GPL-2.0-or-later
// Who is served when on a thread that has several queues.
#include "tmemd/transport/workers.h"

#include <sys/eventfd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "libtmem/base/shared_word.h"
#include "libtmem/base/unique_fd.h"
#include "tests/unit/ring_world.h"

namespace tmem::transport {
namespace {

constexpr uint32_t kNever = UINT32_MAX;

// Notes how far the other queue was when this one's guest was notified.
class Witness final : public Doorbell {
 public:
  void ring() override {
    uint32_t expected = kNever;
    (void)seen_.compare_exchange_strong(expected, load_acquire(other_->rsp_prod));
  }
  void watch(const tmem_control_page& other) { other_ = &other; }
  uint32_t seen() const {
    for (int i = 0; i < 20'000 && seen_ == kNever; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return seen_;
  }

 private:
  const tmem_control_page* other_ = nullptr;
  std::atomic<uint32_t> seen_{kNever};
};

// Its guest asks again as soon as it is answered, without an event.
class Echo final : public Doorbell {
 public:
  explicit Echo(RingWorld& ring) : ring_(ring) {}
  void ring() override {
    ring_.control().rsp_event = ring_.control().req_prod;
    ring_.post(ring_.request(TMEM_OP_NOP));
  }

 private:
  RingWorld& ring_;
};

// A guest with a queue on the thread; it asks to be notified after its last request.
struct Guest {
  void attach(Workers& workers, const Guest& other, uint32_t requests) {
    witness.watch(other.ring.view->control());
    ring.control().rsp_event = requests - 1;
    attach(workers, witness);
  }
  void attach(Workers& workers, Doorbell& doorbell) {
    ring.queue.reset();
    auto queue = Queue::attach(*ring.view, ring.options, *ring.world.store, ring.client, doorbell);
    REQUIRE(queue);
    auto attached = workers.attach(*std::move(queue), event.get(), {});
    REQUIRE(attached);
    attachment = *std::move(attached);
    while (load_full(ring.control().req_event) != 0) std::this_thread::yield();  // armed
  }
  void post(uint32_t requests) {
    while (requests-- != 0) ring.post(ring.request(TMEM_OP_NOP));
  }

  RingWorld ring;
  Witness witness;
  UniqueFd event{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::unique_ptr<Attachment> attachment;
};

// `busy` has a full ring and wakes the thread; `other` posts without an event.
void serve(Guest& busy, Guest& other, uint32_t other_requests) {
  auto workers = Workers::start({});
  REQUIRE(workers);
  const uint32_t entries = busy.ring.layout.entries;
  busy.attach(**workers, other, entries);
  other.attach(**workers, busy, other_requests);
  other.post(other_requests);
  busy.post(entries);
  (void)eventfd_write(busy.event.get(), 1);
  CHECK(busy.witness.seen() != kNever);
  CHECK(other.witness.seen() != kNever);
  busy.attachment.reset();
  other.attachment.reset();
}

}  // namespace

TEST_CASE("workers: who asks seldom does not wait for the turn of who always asks") {
  Guest busy;
  Guest other;
  serve(busy, other, 1);
  CHECK(other.witness.seen() == 1);
}

TEST_CASE("workers: who asks again after each answer does not interrupt each time") {
  Guest busy;
  Guest again;
  Echo echo(again.ring);
  auto workers = Workers::start({});
  REQUIRE(workers);
  const uint32_t entries = busy.ring.layout.entries;
  busy.attach(**workers, again, entries);
  again.ring.control().rsp_event = 0;
  again.attach(**workers, echo);
  again.post(1);
  busy.post(entries);
  (void)eventfd_write(busy.event.get(), 1);
  CHECK(busy.witness.seen() < entries / 4);
  busy.attachment.reset();
  again.attachment.reset();
}

TEST_CASE("workers: two that always have requests are served alike, however they post them") {
  Guest many;
  Guest few;  // at a time: it interrupts the other's turns
  auto workers = Workers::start({});
  REQUIRE(workers);
  many.attach(**workers, few, 1);
  few.attach(**workers, many, 1);
  const auto answered = [](Guest& guest) { return load_acquire(guest.ring.control().rsp_prod); };
  const auto refill = [&](Guest& guest, uint32_t posted_max) {
    const uint32_t waiting = load_relaxed(guest.ring.control().req_prod) - answered(guest);
    if (waiting < posted_max) guest.post(posted_max - waiting);
    if (load_full(guest.ring.control().req_event) == answered(guest))
      (void)eventfd_write(guest.event.get(), 1);
  };
  while (answered(many) + answered(few) < 100'000) {
    refill(many, many.ring.layout.entries);
    refill(few, 16);
  }
  CHECK(answered(few) < 75'000);
  CHECK(answered(many) < 75'000);
  many.attachment.reset();
  few.attachment.reset();
}

TEST_CASE("workers: who notifies for nothing has to rest, and is served all the same") {
  Guest storm;
  Guest other;
  auto workers = Workers::start({});
  REQUIRE(workers);
  storm.attach(**workers, other, 1);
  for (int i = 0; i < 30; ++i) {
    (void)eventfd_write(storm.event.get(), 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  storm.post(1);
  CHECK(storm.witness.seen() != kNever);
  storm.attachment.reset();
}

}  // namespace tmem::transport
