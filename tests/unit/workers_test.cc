// SPDX-License-Identifier: GPL-2.0-or-later
// Who is served when on a thread that has several queues.
#include "tmemd/transport/workers.h"

#include <sys/eventfd.h>

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

// The worker's clock: a request takes its time by it, whatever the machine does.
class Time {
 public:
  explicit Time(uint64_t request_ns = 1'000) : request_ns_(request_ns) {}
  void pass(uint32_t requests) { now_ns_ += requests * request_ns_; }
  uint64_t now_ns() const { return now_ns_; }
  WorkerOptions options() const {
    WorkerOptions options;
    options.may_spin = false;
    options.now_ns = [this] {
      ++reads_;
      return now_ns();
    };
    return options;
  }
  uint32_t reads() const { return reads_; }

 private:
  const uint64_t request_ns_;
  std::atomic<uint64_t> now_ns_{1};
  mutable std::atomic<uint32_t> reads_{0};
};

// Its guest asks again, without an event, as soon as its last request is answered: on the worker's
// own thread, so that nothing depends on how the machine runs two threads.
class Echo final : public Doorbell {
 public:
  Echo(Time& time, RingWorld& ring, uint32_t batch, uint32_t total = UINT32_MAX)
      : time_(time), ring_(ring), batch_(batch), left_(total) {}
  void ring() override {
    if (is_over()) return;  // the last answer, or that the queue is closed
    if (answered_ != 0) time_.pass(batch_);
    if (also_) also_();
    if (is_over()) return;
    left_ -= batch_;
    answered_ += batch_;
    ring_.control().rsp_event = ring_.control().req_prod + batch_ - 1;
    for (uint32_t i = 0; i < batch_; ++i) ring_.post(ring_.request(TMEM_OP_NOP));
  }
  void do_also(std::function<void()> what) { also_ = std::move(what); }
  void end() { left_ = 0; }
  // So many more, from now on.
  void go_on(uint32_t more) {
    left_ += more;
    ring();
  }
  bool is_over() const { return left_ < batch_; }
  uint32_t answered() const { return answered_; }

 private:
  Time& time_;
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
  void notify() { (void)eventfd_write(event.get(), 1); }

  RingWorld ring;
  Witness witness;
  UniqueFd event{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::unique_ptr<Attachment> attachment;
};

// A guest that has notified again whenever the worker listens, and posted something each so many
// times.
class Unasked final : public Doorbell {
 public:
  Unasked(Guest& guest, uint32_t each) : guest_(guest), each_(each) {}
  void ring() override {}
  void acknowledge() override {
    if (!begun_) return;
    if (++listened_ % each_ == 0) guest_.post(1);
    guest_.notify();
  }
  void begin() {
    begun_ = true;
    guest_.notify();
  }
  uint64_t listened() const { return listened_; }

 private:
  Guest& guest_;
  const uint32_t each_;
  std::atomic<bool> begun_{false};
  std::atomic<uint64_t> listened_{0};
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
  busy.notify();
  CHECK(busy.witness.seen() != kNever);
  CHECK(other.witness.seen() != kNever);
  busy.attachment.reset();
  other.attachment.reset();
}

// Its guest posts for the first time, and wakes the thread.
void wake(Guest& guest, Echo& echo) {
  echo.ring();
  guest.notify();
}

// Until the busy guest is through.
void run_beside(const WorkerOptions& options, Guest& busy, Echo& all, Guest& other,
                Doorbell& of_other) {
  auto workers = Workers::start(options);
  REQUIRE(workers);
  other.attach(**workers, of_other);
  busy.attach(**workers, all);
  wake(busy, all);
  while (!all.is_over()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  busy.attachment.reset();
  other.attachment.reset();
}

// What a busy guest is answered while a batch of another one waits, per batch. The other one asks
// in parts, and after a pause; a request takes so long.
double answers_beside_a_batch(uint64_t request_ns) {
  constexpr uint32_t kPart = 4;
  constexpr uint32_t kBatch = 4 * kPart;
  constexpr uint32_t kPause = 8 * kBatch;  // in the busy one's answers
  Time time(request_ns);
  Guest busy;
  Guest other;
  Echo all(time, busy.ring, busy.ring.layout.entries, 200 * kPause);
  Echo some(time, other.ring, kPart, 0);
  uint32_t beside = 0;
  uint32_t batches = 0;
  all.do_also([&, paused = 0U]() mutable {
    if (load_acquire(other.ring.control().rsp_prod) != batches * kBatch) {
      beside += busy.ring.layout.entries;
      return;
    }
    if ((paused += busy.ring.layout.entries) < kPause) return;
    paused = 0;
    ++batches;
    some.go_on(kBatch);
    other.notify();
  });
  run_beside(time.options(), busy, all, other, some);
  REQUIRE(batches > 100);
  return static_cast<double>(beside) / batches;
}

struct Asked {
  uint32_t posted = 0;
  uint32_t events = 0;  // that it needed
};

// A guest asks one thing after so many answers to another's, again and again.
Asked ask_after(uint32_t answers) {
  constexpr uint32_t kBatch = 8;
  Time time;
  Guest busy;
  Guest other;
  Echo all(time, busy.ring, kBatch, 100 * answers);
  Asked asked;
  all.do_also([&, turns = 0U]() mutable {
    const uint32_t answered = load_acquire(other.ring.control().rsp_prod);
    if (answered != asked.posted || ++turns % (answers / kBatch) != 0) return;
    if (load_full(other.ring.control().req_event) == answered) {
      ++asked.events;
      other.notify();
    }
    other.post(1);
    ++asked.posted;
  });
  Echo none(time, other.ring, 1, 0);
  run_beside(time.options(), busy, all, other, none);
  return asked;
}

}  // namespace

TEST_CASE("workers: who asks seldom does not wait for the turn of who always asks") {
  Guest busy;
  Guest other;
  serve(busy, other, 1);
  CHECK(other.witness.seen() == 1);
}

TEST_CASE("workers: who asks again after each answer does not interrupt each time") {
  Time time;
  Guest busy;
  Guest again;
  Echo echo(time, again.ring, 1);
  auto workers = Workers::start({});
  REQUIRE(workers);
  const uint32_t entries = busy.ring.layout.entries;
  busy.attach(**workers, again, entries);
  again.ring.control().rsp_event = 0;
  again.attach(**workers, echo);
  again.post(1);
  busy.post(entries);
  busy.notify();
  CHECK(busy.witness.seen() < entries / 4);
  busy.attachment.reset();
  again.attachment.reset();
}

TEST_CASE("workers: two that always have requests are served alike, however they post them") {
  Time time;
  Guest many;
  Guest few;  // at a time: it interrupts the other's turns
  Echo all(time, many.ring, many.ring.layout.entries, 50'000);
  Echo some(time, few.ring, 16, 1'000'000);  // not for ever
  uint32_t some_meanwhile = 0;
  all.do_also([&] {  // the first answer, not the call of wake()
    if (all.answered() == many.ring.layout.entries) wake(few, some);
    some_meanwhile = some.answered();
  });
  run_beside(time.options(), many, all, few, some);
  CHECK(some_meanwhile > 45'000);
  CHECK(some_meanwhile < 55'000);
}

TEST_CASE("workers: who was idle for long is not served alone for long") {
  constexpr uint64_t kAloneNs = 25'000'000;
  constexpr uint64_t kBothNs = 25'000'000;
  Time time;
  Guest busy;
  Guest late;
  Echo all(time, busy.ring, busy.ring.layout.entries);
  Echo some(time, late.ring, late.ring.layout.entries, 1'000'000);  // not for ever
  uint64_t both_ns = 0;
  uint64_t answered_ns = 0;
  uint64_t waited_ns = 0;
  uint32_t late_answers = 0;
  all.do_also([&] {
    const uint64_t now_ns = time.now_ns();
    if (both_ns != 0) waited_ns = std::max(waited_ns, now_ns - answered_ns);
    answered_ns = now_ns;
    if (both_ns == 0 && now_ns > kAloneNs) {
      both_ns = now_ns;
      wake(late, some);
    }
    late_answers = some.answered();
    if (both_ns != 0 && now_ns - both_ns > kBothNs) all.end();
  });
  run_beside(time.options(), busy, all, late, some);
  CHECK(late_answers > 10'000);
  CHECK(waited_ns <= 1'200'000);
}

TEST_CASE("workers: a batch after a pause comes first, however long its requests take") {
  CHECK(answers_beside_a_batch(1'000) <= 8);
  CHECK(answers_beside_a_batch(200'000) <= 8);
}

// The next one is posted when the worker has answered the last one and looks at its clock.
TEST_CASE("workers: requests after a pause come first, also one by one") {
  constexpr uint32_t kRequests = 16;
  constexpr uint64_t kPauseNs = 5'000'000;
  Time time;
  Guest busy;
  Guest other;
  Echo all(time, busy.ring, busy.ring.layout.entries, 20'000);
  const auto busy_answers = [&] { return load_acquire(busy.ring.control().rsp_prod); };
  uint32_t posted = 0;
  uint32_t before = 0;
  uint32_t beside = 0;
  WorkerOptions options = time.options();
  options.now_ns = [&] {
    if (time.now_ns() < kPauseNs || load_acquire(other.ring.control().rsp_prod) != posted)
      return time.now_ns();
    if (posted == 0) before = busy_answers();
    if (posted == kRequests && beside == 0) beside = busy_answers() - before;
    if (posted < kRequests) {
      other.post(1);
      ++posted;
    }
    return time.now_ns();
  };
  Echo none(time, other.ring, 1, 0);
  run_beside(options, busy, all, other, none);
  CHECK(posted == kRequests);
  CHECK(beside <= kRequests + 4);  // one between two
}

TEST_CASE("workers: who asks again soon needs no event while others are served") {
  const Asked soon = ask_after(64);
  CHECK(soon.posted > 50);
  CHECK(soon.events <= 1);
  const Asked late = ask_after(4'096);
  CHECK(late.posted > 50);
  CHECK(late.events == late.posted);
}

TEST_CASE("workers: the clock is read once a turn") {
  constexpr uint32_t kTurn = 32;
  constexpr uint32_t kTurns = 1'000;
  Time time;
  Guest busy;
  Guest other;
  Echo all(time, busy.ring, kTurn, kTurn * kTurns);
  Echo none(time, other.ring, 1, 0);
  run_beside(time.options(), busy, all, other, none);
  CHECK(time.reads() >= kTurns);
  CHECK(time.reads() < kTurns + kTurns / 10);
}

TEST_CASE("workers: who notifies unasked has to rest, also if it posts between, and is served") {
  using std::chrono::steady_clock;
  constexpr uint64_t kServed = 20;
  Guest storm;
  Unasked doorbell(storm, 4);
  auto workers = Workers::start({});
  REQUIRE(workers);
  const auto start = steady_clock::now();
  storm.attach(**workers, doorbell);
  doorbell.begin();
  while (load_acquire(storm.ring.control().rsp_prod) < kServed)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  storm.attachment.reset();
  const std::chrono::nanoseconds took = steady_clock::now() - start;
  const auto rests = static_cast<uint64_t>(took.count()) / kRestMaxNs;
  CHECK(doorbell.listened() <= rests + 32 + kServed);
}

}  // namespace tmem::transport
