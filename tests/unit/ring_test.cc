// SPDX-License-Identifier: GPL-2.0-or-later
// The ring's executor: every check on a request, counters that wrap, replay, notifications.
#include <random>
#include <utility>
#include <vector>

#include "tests/unit/ring_world.h"
#include "tmemd/transport/spin_budget.h"
#include "tmemd/transport/unasked_events.h"

namespace tmem::transport {
namespace {

using store::noise;
using store::Status;

TEST_CASE("ring: put, get, flush and pool operations reach the store") {
  RingWorld ring;
  ring.fill_slot(3, noise(1));
  CHECK(ring.call(ring.request(TMEM_OP_PUT, 1, 7, 3)) == Status::kOk);
  ring.fill_slot(3, noise(2));
  CHECK(ring.call(ring.request(TMEM_OP_GET, 1, 7, 4)) == Status::kOk);
  CHECK(ring.slot_is(4, noise(1)));
  CHECK(ring.call(ring.request(TMEM_OP_GET, 1, 8, 4)) == Status::kMiss);
  CHECK(ring.slot_is(4, noise(1)));
  CHECK(ring.call(ring.request(TMEM_OP_FLUSH_PAGE, 1, 7)) == Status::kOk);
  CHECK(ring.call(ring.request(TMEM_OP_FLUSH_PAGE, 1, 7)) == Status::kMiss);
  CHECK(ring.call(ring.request(TMEM_OP_PUT, 1, 7, 3)) == Status::kOk);
  CHECK(ring.call(ring.request(TMEM_OP_FLUSH_OBJECT, 1)) == Status::kOk);
  CHECK(ring.call(ring.request(TMEM_OP_GET, 1, 7, 4)) == Status::kMiss);
  CHECK(ring.call(ring.request(TMEM_OP_PUT, 1, 7, 3)) == Status::kOk);
  CHECK(ring.call(ring.request(TMEM_OP_POOL_FLUSH, 1)) == Status::kOk);
  CHECK(ring.call(ring.request(TMEM_OP_GET, 1, 7, 4)) == Status::kMiss);
  CHECK(ring.call(ring.request(TMEM_OP_POOL_DESTROY, 1)) == Status::kOk);
  CHECK(ring.call(ring.request(TMEM_OP_PUT, 1, 7, 3)) == Status::kNoSuchPool);
  tmem_request create = ring.request(TMEM_OP_POOL_CREATE, 1);
  create.u.create = {};
  CHECK(ring.call(create) == Status::kOk);
  create.u.create.flags = TMEM_POOL_PERSISTENT;
  CHECK(ring.call(create) == Status::kRefused);
  CHECK(ring.call(ring.request(TMEM_OP_NOP)) == Status::kOk);
  CHECK(ring.queue->counters().requests.get() == 16);
  CHECK(ring.control().closed == 0);
}

struct BadCase {
  const char* what;
  Refusal refusal;
  void (*spoil)(tmem_request&);
  uint8_t op;
};

TEST_CASE("ring: each malformed field is refused, counted by its reason, and not run") {
  static const BadCase kCases[] = {
      {"op 0", Refusal::kUnknownOp, [](tmem_request& r) { r.op = 0; }, TMEM_OP_PUT},
      {"op 3", Refusal::kUnknownOp, [](tmem_request& r) { r.op = 3; }, TMEM_OP_PUT},
      {"op 255", Refusal::kUnknownOp, [](tmem_request& r) { r.op = 255; }, TMEM_OP_PUT},
      {"reserved0", Refusal::kReservedNotZero, [](tmem_request& r) { r.reserved0 = 1; },
       TMEM_OP_PUT},
      {"flags", Refusal::kReservedNotZero, [](tmem_request& r) { r.flags = 2; }, TMEM_OP_GET},
      {"reserved2", Refusal::kReservedNotZero, [](tmem_request& r) { r.reserved2 = 1; },
       TMEM_OP_FLUSH_PAGE},
      {"pool", Refusal::kPoolOutOfRange, [](tmem_request& r) { r.pool = TMEM_POOLS_MAX; },
       TMEM_OP_PUT},
      {"pool of an object flush", Refusal::kPoolOutOfRange,
       [](tmem_request& r) { r.pool = UINT32_MAX; }, TMEM_OP_FLUSH_OBJECT},
      {"pool of a create", Refusal::kPoolOutOfRange,
       [](tmem_request& r) {
         r.pool = TMEM_POOLS_MAX;
         r.u.create = {};
       },
       TMEM_OP_POOL_CREATE},
      {"put slot", Refusal::kSlotOutOfRange,
       [](tmem_request& r) { r.u.page.slot = RingWorld::kSlots; }, TMEM_OP_PUT},
      {"get without slot", Refusal::kSlotOutOfRange,
       [](tmem_request& r) { r.u.page.slot = TMEM_NO_SLOT; }, TMEM_OP_GET},
      {"flush with slot", Refusal::kSlotOutOfRange, [](tmem_request& r) { r.u.page.slot = 0; },
       TMEM_OP_FLUSH_PAGE},
      {"nop with pool", Refusal::kReservedNotZero, [](tmem_request& r) { r.pool = 1; },
       TMEM_OP_NOP},
      {"nop with index", Refusal::kReservedNotZero, [](tmem_request& r) { r.u.page.index = 1; },
       TMEM_OP_NOP},
      {"pool flush with object", Refusal::kReservedNotZero,
       [](tmem_request& r) { r.u.page.oid[1] = 1; }, TMEM_OP_POOL_FLUSH},
      {"create: unknown flag", Refusal::kPoolFlags,
       [](tmem_request& r) {
         r.u.create = {};
         r.u.create.flags = 4;
       },
       TMEM_OP_POOL_CREATE},
      {"create: shared and persistent", Refusal::kPoolFlags,
       [](tmem_request& r) {
         r.u.create = {};
         r.u.create.flags = TMEM_POOL_SHARED | TMEM_POOL_PERSISTENT;
       },
       TMEM_OP_POOL_CREATE},
      {"create: reserved", Refusal::kReservedNotZero,
       [](tmem_request& r) {
         r.u.create = {};
         r.u.create.reserved[2] = 1;
       },
       TMEM_OP_POOL_CREATE},
      {"create: uuid of a private pool", Refusal::kReservedNotZero,
       [](tmem_request& r) {
         r.u.create = {};
         r.u.create.uuid[15] = 1;
       },
       TMEM_OP_POOL_CREATE},
  };
  for (const BadCase& bad : kCases) {
    INFO(bad.what);
    RingWorld ring;
    const bool has_slot = bad.op == TMEM_OP_PUT || bad.op == TMEM_OP_GET;
    const bool is_nop = bad.op == TMEM_OP_NOP;
    tmem_request request = ring.request(bad.op, is_nop ? 0 : 1, 0, has_slot ? 0 : TMEM_NO_SLOT);
    bad.spoil(request);
    const uint64_t before = ring.world.pages(ring.client, store::Kind::kPersistent);
    CHECK(ring.call(request) == Status::kBadRequest);
    CHECK(ring.refusals(bad.refusal) == 1);
    CHECK(ring.world.pages(ring.client, store::Kind::kPersistent) == before);
    // The queue goes on.
    CHECK(ring.call(ring.request(TMEM_OP_NOP)) == Status::kOk);
  }
}

TEST_CASE("ring: a key on another queue and a pool operation off queue 0 are refused") {
  const uint64_t oid[3] = {0, 0, 0};
  const uint32_t home = tmem_queue_of(1, oid, 4);
  for (uint32_t number = 0; number < 4; ++number) {
    QueueOptions options;
    options.number = number;
    options.queues = 4;
    RingWorld ring(0, options);
    CHECK((ring.call(ring.request(TMEM_OP_PUT, 1, 0, 0)) == Status::kOk) == (number == home));
    CHECK(ring.refusals(Refusal::kWrongQueue) == (number == home ? 0 : 1));
    CHECK((ring.call(ring.request(TMEM_OP_POOL_FLUSH, 1)) == Status::kOk) == (number == 0));
    CHECK(ring.refusals(Refusal::kPoolOpWrongQueue) == (number == 0 ? 0 : 1));
  }
}

TEST_CASE("ring: a request of another store epoch is not run") {
  RingWorld ring;
  tmem_request request = ring.request(TMEM_OP_PUT, 1, 0, 0);
  request.epoch ^= 1;
  CHECK(ring.call(request) == Status::kStaleEpoch);
  CHECK(ring.call(ring.request(TMEM_OP_GET, 1, 0, 0)) == Status::kMiss);
}

TEST_CASE("ring: counters wrap around at 2^32") {
  RingWorld ring(UINT32_MAX - 40);
  for (uint32_t i = 0; i < 100; ++i) {
    ring.fill_slot(0, noise(i));
    REQUIRE(ring.call(ring.request(TMEM_OP_PUT, 1, i, 0)) == Status::kOk);
    REQUIRE(ring.call(ring.request(TMEM_OP_GET, 1, i, 1)) == Status::kOk);
    REQUIRE(ring.slot_is(1, noise(i)));
  }
  CHECK(ring.control().rsp_prod == uint32_t{UINT32_MAX - 40} + 200);
}

TEST_CASE("ring: a full ring is served, one entry more closes the queue") {
  for (const uint32_t first : {0u, UINT32_MAX - 5}) {
    RingWorld ring(first);
    for (uint32_t i = 0; i < ring.layout.entries; ++i) ring.post(ring.request(TMEM_OP_NOP));
    CHECK(ring.run().executed == ring.layout.entries);
    for (uint32_t i = 0; i < ring.layout.entries; ++i) CHECK(ring.answer() == Status::kOk);
    ring.control().req_prod = ring.produced + ring.layout.entries + 1;
    const Queue::Turn turn = ring.run();
    CHECK(turn.executed == 0);
    CHECK(turn.closed == CloseReason::kRequestOverflow);
    CHECK(ring.control().closed == 1);
    CHECK_FALSE(ring.queue->arm());
    CHECK_FALSE(ring.queue->has_requests());
  }
}

TEST_CASE("ring: req_prod that runs backwards closes the queue") {
  RingWorld ring;
  REQUIRE(ring.call(ring.request(TMEM_OP_NOP)) == Status::kOk);
  ring.control().req_prod = 0;
  CHECK(ring.run().closed == CloseReason::kRequestOverflow);
}

TEST_CASE("ring: a changed rsp_prod closes the queue before anything is run") {
  RingWorld ring;
  REQUIRE(ring.call(ring.request(TMEM_OP_PUT, 1, 0, 0)) == Status::kOk);
  ring.post(ring.request(TMEM_OP_FLUSH_PAGE, 1, 0));
  ring.control().rsp_prod = 0;
  const Queue::Turn turn = ring.run();
  CHECK(turn.executed == 0);
  CHECK(turn.closed == CloseReason::kResponseRewound);
  CHECK(ring.world.pages(ring.client, store::Kind::kPersistent) == 1);
}

TEST_CASE("ring: attach refuses counters that claim more than the ring holds") {
  RingWorld ring;
  ring.control().req_prod = ring.layout.entries + 1;
  CHECK_FALSE(ring.attach());
  ring.control().req_prod = ring.layout.entries;
  CHECK(ring.attach());
  ring.control().rsp_prod = ring.layout.entries + 1;
  CHECK_FALSE(ring.attach());
}

TEST_CASE("ring: a view is refused over memory that is too small or of a wrong shape") {
  RingWorld ring;
  CHECK_FALSE(RingView::over(ring.memory().first(ring.layout.bytes - 1), 1, 8));
  CHECK_FALSE(RingView::over(ring.memory(), 0, 8));
  CHECK_FALSE(RingView::over(ring.memory(), 7, 8));
  CHECK_FALSE(RingView::over(ring.memory(), 1, 7));
  CHECK_FALSE(RingView::over(ring.memory(), 1, 4097));
}

TEST_CASE("ring: too many bad requests close the queue, and the last one is still answered") {
  QueueOptions options;
  options.bad_requests_max = 3;
  RingWorld ring(0, options);
  for (int i = 0; i < 6; ++i) ring.post(ring.request(0));
  const Queue::Turn turn = ring.run();
  CHECK(turn.executed == 4);
  CHECK(turn.closed == CloseReason::kTooManyBad);
  for (int i = 0; i < 4; ++i) CHECK(ring.answer() == Status::kBadRequest);
  CHECK_FALSE(ring.answer());
}

TEST_CASE("ring: after a crash a successor runs the unanswered request again, with one result") {
  // Each request alone, run twice in a row, leaves what one run leaves.
  RingWorld ring;
  const auto run_twice = [&ring](const tmem_request& wire) {
    const auto first = ring.call(wire);
    // The dead daemon had not published the answer: its successor sees the old counter.
    ring.control().rsp_prod = --ring.consumed;
    REQUIRE(ring.attach());
    CHECK(ring.run().executed == 1);
    return std::pair(first, ring.answer());
  };
  const auto both = [](Status status) {
    return std::pair(std::optional(status), std::optional(status));
  };
  ring.fill_slot(0, noise(9));
  CHECK(run_twice(ring.request(TMEM_OP_PUT, 1, 5, 0)) == both(Status::kOk));
  CHECK(run_twice(ring.request(TMEM_OP_GET, 1, 5, 1)) == both(Status::kOk));
  CHECK(ring.slot_is(1, noise(9)));
  CHECK(ring.world.pages(ring.client, store::Kind::kPersistent) == 1);
  // A flush may answer miss the second time; the page is gone either way.
  CHECK(run_twice(ring.request(TMEM_OP_FLUSH_PAGE, 1, 5)).first == Status::kOk);
  CHECK(ring.world.pages(ring.client, store::Kind::kPersistent) == 0);
  tmem_request create = ring.request(TMEM_OP_POOL_CREATE, 2);
  create.u.create = {};
  CHECK(run_twice(create) == both(Status::kOk));
  CHECK(run_twice(ring.request(TMEM_OP_POOL_FLUSH, 2)) == both(Status::kOk));
}

TEST_CASE("ring: each answer is published before the next request is run") {
  // A turn of one leaves exactly one answer; what was posted behind it is untouched.
  RingWorld ring;
  ring.fill_slot(0, noise(1));
  ring.post(ring.request(TMEM_OP_PUT, 1, 0, 0));
  ring.post(ring.request(TMEM_OP_PUT, 1, 1, 0));
  const Queue::Turn turn = ring.run(1);
  CHECK(turn.executed == 1);
  CHECK(turn.more);
  CHECK(ring.control().rsp_prod == 1);
  CHECK(ring.world.pages(ring.client, store::Kind::kPersistent) == 1);
  CHECK(ring.queue->has_requests());
}

TEST_CASE("ring: the guest is notified once, and only when its event is passed") {
  RingWorld ring;
  for (int i = 0; i < 10; ++i) ring.post(ring.request(TMEM_OP_NOP));
  ring.control().rsp_event = 9;  // wait for all ten
  (void)ring.run(9);
  CHECK(ring.doorbell.rung == 0);
  (void)ring.run();
  CHECK(ring.doorbell.rung == 1);
  for (int i = 0; i < 10; ++i) ring.post(ring.request(TMEM_OP_NOP));
  (void)ring.run();  // the event lies in the past: it did not ask
  CHECK(ring.doorbell.rung == 1);
  ring.control().rsp_event = 20;
  for (int i = 0; i < 10; ++i) ring.post(ring.request(TMEM_OP_NOP));
  (void)ring.run();
  CHECK(ring.doorbell.rung == 2);
  CHECK(ring.queue->counters().notifications.get() == 2);
}

TEST_CASE("ring: an interrupted turn notifies once, at its end") {
  RingWorld ring;
  ring.control().rsp_event = 1;
  for (int i = 0; i < 3; ++i) ring.post(ring.request(TMEM_OP_NOP));
  const auto always = [] { return true; };
  CHECK(ring.queue->run(ring.context, 8, always).executed == 1);
  CHECK(ring.queue->run(ring.context, 7, always).executed == 1);
  CHECK(ring.doorbell.rung == 0);
  CHECK(ring.queue->run(ring.context, 6, always).executed == 1);
  CHECK(ring.doorbell.rung == 1);
}

TEST_CASE("ring: arming asks for the next request, and refuses to sleep over one") {
  RingWorld ring;
  CHECK(ring.queue->arm());
  CHECK(ring.control().req_event == 0);
  CHECK(tmem_needs_event(ring.control().req_event, 1, 0) == 1);
  ring.post(ring.request(TMEM_OP_NOP));
  CHECK_FALSE(ring.queue->arm());
  (void)ring.run();
  CHECK(ring.queue->arm());
  CHECK(ring.control().req_event == 1);
}

TEST_CASE("ring: notifications without requests are counted and close the queue") {
  QueueOptions options;
  options.empty_events_max = 5;
  RingWorld ring(0, options);
  for (int i = 0; i < 5; ++i) CHECK(ring.queue->note_event().closed == CloseReason::kOpen);
  REQUIRE(ring.call(ring.request(TMEM_OP_NOP)) == Status::kOk);  // starts the count again
  for (int i = 0; i < 5; ++i) CHECK(ring.queue->note_event().closed == CloseReason::kOpen);
  CHECK(ring.queue->note_event().closed == CloseReason::kEventStorm);
  CHECK(ring.queue->counters().empty_events.get() == 11);
}

TEST_CASE("ring: one notification is asked for each time the queue asks anew") {
  RingWorld ring;
  const auto asked = [&] { return ring.queue->note_event().asked_for; };
  REQUIRE(ring.queue->arm());
  for (int i = 0; i < 4; ++i) CHECK(asked());  // of a time before this queue
  CHECK_FALSE(asked());
  REQUIRE(ring.queue->arm());
  CHECK_FALSE(asked());
  REQUIRE(ring.call(ring.request(TMEM_OP_NOP)) == Status::kOk);
  CHECK_FALSE(asked());
  for (int i = 0; i < 6; ++i) {
    REQUIRE(ring.queue->arm());
    REQUIRE(ring.call(ring.request(TMEM_OP_NOP)) == Status::kOk);
  }
  for (int i = 0; i < 4; ++i) CHECK(asked());  // late
  CHECK_FALSE(asked());
  CHECK(ring.queue->counters().unasked_events.get() == 4);
}

// As Xen's and its driver in dom0: what comes after one that was not acknowledged is held back.
class LatchedPort final : public Doorbell {
 public:
  void ring() override {}
  void acknowledge() override {
    arrived_ = masked_ = false;
    if (std::exchange(held_back_, false)) notify();
  }
  void notify() {
    (masked_ ? held_back_ : arrived_) = true;
    masked_ = true;
  }
  bool fetch() { return std::exchange(arrived_, false); }

 private:
  bool arrived_ = false;  // in the descriptor
  bool masked_ = false;
  bool held_back_ = false;
};

TEST_CASE("ring: a guest that notifies by the rule never does so unasked, whoever is slow") {
  RingWorld ring;
  LatchedPort port;
  ring.queue.reset();
  ring.queue = *Queue::attach(*ring.view, ring.options, *ring.world.store, ring.client, port);
  port.notify();  // as binding it does
  std::mt19937 random(80);
  uint32_t checked = 0;   // of its posts, for whether the queue wants to know
  bool notifies = false;  // decided, not done
  uint32_t events = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const uint32_t posted = ring.control().req_prod;
    switch (random() % 6) {
      case 0:
        if (posted == checked && !notifies && posted - ring.control().rsp_prod < 4)
          ring.post(ring.request(TMEM_OP_NOP));
        break;
      case 1:
        if (tmem_needs_event(ring.control().req_event, posted, checked) != 0) notifies = true;
        checked = posted;
        break;
      case 2:
        if (std::exchange(notifies, false)) port.notify();
        break;
      case 3:
        (void)ring.queue->run(ring.context, 4);
        break;
      case 4:
        (void)ring.queue->arm();
        break;
      default:
        if (!port.fetch()) break;
        (void)ring.queue->note_event();
        ++events;
    }
  }
  CHECK(events > 10'000);
  CHECK(ring.queue->counters().unasked_events.get() == 0);
}

TEST_CASE("ring: a queue rests longer the more notifications were not asked for") {
  UnaskedEvents storm;
  for (int i = 0; i < 16; ++i) CHECK(storm.note(false) == 0);
  CHECK(storm.note(false) == kRestMinNs);
  CHECK(storm.note(false) == 2 * kRestMinNs);
  CHECK(storm.note(true) == 0);
  for (int i = 0; i < 20; ++i) (void)storm.note(false);
  CHECK(storm.note(false) == kRestMaxNs);
  for (int i = 0; i < 64; ++i) (void)storm.note(true);  // forgiven
  CHECK(storm.note(false) <= kRestMinNs);
}

TEST_CASE("ring: a queue rests when one notification of three was not asked for, not of ten") {
  const auto rests = [](int one_of) {
    UnaskedEvents events;
    int count = 0;
    for (int i = 1; i <= 30'000; ++i)
      if (events.note(i % one_of != 0) != 0) ++count;
    return count;
  };
  CHECK(rests(3) > 9'000);
  CHECK(rests(10) == 0);
}

TEST_CASE("ring: what the guest writes over the daemon's constants has no effect") {
  RingWorld ring;
  ring.control().entries = 1u << 31;
  ring.control().slots = UINT32_MAX;
  ring.control().queues = 0;
  ring.control().queue = 77;
  ring.control().store_epoch = 0;
  ring.control().magic = 0;
  ring.fill_slot(0, noise(1));
  CHECK(ring.call(ring.request(TMEM_OP_PUT, 1, 0, 0)) == Status::kOk);
  CHECK(ring.call(ring.request(TMEM_OP_PUT, 1, 0, RingWorld::kSlots)) == Status::kBadRequest);
}

TEST_CASE("ring: the spin budget stays under a twentieth of any second") {
  for (const uint64_t step_ns : {21'000ull, 100'000ull, 1'000'000ull}) {
    uint64_t now_ns = 1'000'000'000;
    SpinBudget budget(now_ns);
    std::vector<std::pair<uint64_t, uint64_t>> spins;  // start, end
    for (; now_ns < 4'000'000'000; now_ns += step_ns) {
      if (!budget.allows(now_ns)) continue;
      budget.charge(kSpinMaxNs);
      spins.emplace_back(now_ns, kSpinMaxNs);
    }
    uint64_t worst_ns = 0;
    uint64_t in_window_ns = 0;
    size_t oldest = 0;
    for (const auto& [start_ns, length_ns] : spins) {
      in_window_ns += length_ns;
      while (spins[oldest].first + 1'000'000'000 <= start_ns)
        in_window_ns -= spins[oldest++].second;
      worst_ns = std::max(worst_ns, in_window_ns);
    }
    CHECK(worst_ns > 0);
    CHECK(worst_ns <= 50'000'000 + kSpinMaxNs);
  }
}

}  // namespace
}  // namespace tmem::transport
