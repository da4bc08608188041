// SPDX-License-Identifier: GPL-2.0-or-later
// Who is served when on a thread that has several queues.
#include "tmemd/transport/workers.h"

#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
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

// Its guest asks again, without an event, as soon as its last request is answered: on the worker's
// own thread, so that nothing depends on how the machine runs two threads.
class Echo final : public Doorbell {
 public:
  Echo(RingWorld& ring, uint32_t batch, uint32_t total = UINT32_MAX)
      : ring_(ring), batch_(batch), left_(total) {}
  void ring() override {
    if (also_) also_();
    if (left_ < batch_) return;
    left_ -= batch_;
    answered_ += batch_;
    ring_.control().rsp_event = ring_.control().req_prod + batch_ - 1;
    for (uint32_t i = 0; i < batch_; ++i) ring_.post(ring_.request(TMEM_OP_NOP));
  }
  void do_also(std::function<void()> what) { also_ = std::move(what); }
  void end() { left_ = 0; }
  bool is_over() const { return left_ < batch_; }
  uint32_t answered() const { return answered_; }

 private:
  RingWorld& ring_;
  const uint32_t batch_;
  std::atomic<uint32_t> left_;
  std::atomic<uint32_t> answered_{0};
  std::function<void()> also_;
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

uint64_t thread_cpu_ns() {
  timespec used{};
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

// Its guest posts for the first time, and wakes the thread.
void wake(Guest& guest, Echo& echo) {
  echo.ring();
  (void)eventfd_write(guest.event.get(), 1);
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
  Echo echo(again.ring, 1);
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
  Echo all(many.ring, many.ring.layout.entries, 500'000);
  Echo some(few.ring, 16, 500'000);
  auto workers = Workers::start({});
  REQUIRE(workers);
  few.attach(**workers, some);
  all.do_also([&] {  // the first answer, not the call of wake()
    if (all.answered() == many.ring.layout.entries) wake(few, some);
  });
  many.attach(**workers, all);
  wake(many, all);
  while (!all.is_over() && !some.is_over()) std::this_thread::yield();
  CHECK(all.answered() > 150'000);
  CHECK(some.answered() > 150'000);
  many.attachment.reset();
  few.attachment.reset();
}

// In the worker's own CPU time, in the best of some attempts: the worker's clock goes on while the
// machine runs others.
TEST_CASE("workers: who was idle for long is not served alone for long") {
  constexpr uint64_t kAloneNs = 25'000'000;
  constexpr uint64_t kBothNs = 25'000'000;
  constexpr uint64_t kWaitMaxNs = 3'000'000;
  uint64_t waited_ns = UINT64_MAX;
  for (int attempt = 0; attempt < 5 && waited_ns > kWaitMaxNs; ++attempt) {
    Guest busy;
    Guest late;
    Echo all(busy.ring, busy.ring.layout.entries);
    Echo some(late.ring, late.ring.layout.entries);
    uint64_t began_ns = 0;
    uint64_t both_ns = 0;
    uint64_t answered_ns = 0;
    waited_ns = 0;
    all.do_also([&] {
      if (all.answered() == 0) return;  // the call of wake()
      const uint64_t now_ns = thread_cpu_ns();
      if (began_ns == 0) began_ns = now_ns;
      if (both_ns != 0) waited_ns = std::max(waited_ns, now_ns - answered_ns);
      answered_ns = now_ns;
      if (both_ns == 0 && now_ns - began_ns > kAloneNs) {
        both_ns = now_ns;
        wake(late, some);
      }
      if (both_ns != 0 && now_ns - both_ns > kBothNs) all.end();
    });
    auto workers = Workers::start({});
    REQUIRE(workers);
    late.attach(**workers, some);
    busy.attach(**workers, all);
    wake(busy, all);
    while (!all.is_over()) std::this_thread::yield();
    CHECK(some.answered() > 0);
    late.attachment.reset();
    busy.attachment.reset();
  }
  CHECK(waited_ns <= kWaitMaxNs);
}

TEST_CASE("workers: who asks again soon needs no event while others are served") {
  Guest busy;
  Guest other;
  // Turns so short that four of them take less than a queue is looked at without an event.
  Echo all(busy.ring, 8, 64'000);
  uint32_t posted = 0;
  uint32_t events = 0;
  all.do_also([&, turns = 0]() mutable {
    const uint32_t answered = load_acquire(other.ring.control().rsp_prod);
    if (answered != posted || ++turns % 4 != 0) return;
    if (load_full(other.ring.control().req_event) == answered) {
      ++events;
      (void)eventfd_write(other.event.get(), 1);
    }
    other.post(1);
    ++posted;
  });
  WorkerOptions options;
  options.may_spin = false;
  auto workers = Workers::start(options);
  REQUIRE(workers);
  other.attach(**workers, busy, 1);
  busy.attach(**workers, all);
  wake(busy, all);
  while (!all.is_over()) std::this_thread::yield();
  busy.attachment.reset();
  other.attachment.reset();
  CHECK(posted > 250);
  CHECK(events < posted / 10);
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
