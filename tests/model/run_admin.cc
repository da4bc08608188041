// SPDX-License-Identifier: GPL-2.0-or-later
// What the administrator and time do in a run.
#include <algorithm>
#include <thread>

#include "tests/model/run_impl.h"

namespace tmem::model {

using store::Kind;
using store::Status;

namespace {

constexpr uint64_t kReserveBytes = 5 * kMiB;  // cleaner's reserve and fixed metadata, at most

}  // namespace

void Run::administer(const Operation& op) {
  if (failed()) return;
  history_.push_back({op, Status::kOk});
  reference_.next_tick();
  const store::ClientRef& ref = refs_[op.client];
  switch (op.kind) {
    case OpKind::kAddClient:
      add_client(op);
      break;
    case OpKind::kRemoveClient:
      if (!reference_.alive(op.client)) break;
      subject_->disconnect(op.client);
      reference_.remove_client(op.client);
      break;
    case OpKind::kConfigure:
      configure(op);
      break;
    case OpKind::kAuthorise:
      store_->authorise_shared({op.spec.uuid, client_uuid(op.client)}, op.allowed);
      reference_.authorise(op);
      break;
    case OpKind::kEvict:
      if (options_.whole_slots)
        shrink(op.amount);
      else
        (void)store_->evict(worker_, op.amount);
      reference_.evict();
      break;
    case OpKind::kEvictClient: {
      if (!reference_.alive(op.client)) break;
      const uint64_t dropped = store_->evict_client(worker_, *ref);
      if (const Verdict verdict = reference_.evict_client(op.client, dropped)) fail(*verdict, op);
      break;
    }
    case OpKind::kSetBudget:
      (void)store_->set_budget(op.amount);
      break;
    case OpKind::kAdvance:
      clock_.advance_ms(op.amount);
      break;
    case OpKind::kMaintain:
      (void)store_->maintain(worker_, static_cast<unsigned>(op.amount));
      break;
    default:
      break;
  }
}

// Whether the store has no reason to refuse the settings: what persistent pages hold or are
// promised fits the smallest budget beside the reserve.
bool Run::must_fit(uint32_t client, const store::ClientSettings& settings) const {
  uint64_t sum = kReserveBytes;
  for (uint32_t c = 0; c < kClientsMax; ++c) {
    const uint64_t promised =
        c == client ? settings.guarantee_bytes
                    : (reference_.alive(c) ? reference_.settings(c).guarantee_bytes : 0);
    const uint64_t held = reference_.pages(c, Kind::kPersistent) * (kPageBytes + 512);
    sum += std::max(promised, held);
  }
  return sum <= shape_.options.budget_bytes;
}

void Run::add_client(const Operation& op) {
  const store::ClientSettings settings = shape_.settings_of(op.settings);
  const store::ClientIdentity identity = {client_uuid(op.client), DomId{op.client},
                                          "client" + std::to_string(op.client)};
  if (reference_.alive(op.client)) {
    if (store_->add_client(identity, settings))
      fail("a second client with the uuid of a live one was added", op);
    return;
  }
  auto ref = subject_->connect(op.client, identity, settings);
  if (!ref) {
    drain();
    ref = subject_->connect(op.client, identity, settings);
  }
  if (!ref) {
    if (must_fit(op.client, settings)) fail("add_client: " + ref.error().message, op);
    return;
  }
  refs_[op.client] = *ref;
  reference_.add_client(op.client, settings);
  tally_[op.client] = {};
  cap_holds_[op.client] = true;
}

void Run::configure(const Operation& op) {
  if (!reference_.alive(op.client)) return;
  const store::ClientSettings settings = shape_.settings_of(op.settings);
  // An eviction under way by the old cap could take pages that are put under the new one.
  if (maintainer_) maintainer_->pause();
  auto done = store_->configure(*refs_[op.client], settings);
  if (maintainer_) maintainer_->resume();
  if (!done) {
    drain();
    done = store_->configure(*refs_[op.client], settings);
  }
  if (done) {
    reference_.configure(op.client, settings);
    cap_holds_[op.client] = false;
  } else if (must_fit(op.client, settings)) {
    fail("configure: " + done.error().message, op);
  }
}

// Takes the memory from the store for a moment.
void Run::shrink(uint64_t bytes) {
  const uint64_t before = store_->stats().arena_bytes;
  const uint64_t freeable = store_->stats().freeable_bytes;
  store_->set_arena_limit(before - std::min(before, bytes));
  constexpr int kBound = 100'000;
  int calls = 0;
  while (store_->shrink(worker_, 64) == store::ShrinkState::kMore && calls < kBound) {
    ++calls;
    if (options_.background) std::this_thread::yield();  // it may be in the middle of a slot
  }
  if (calls == kBound) fail("shrink() finds work for ever");
  const uint64_t after = store_->stats().arena_bytes;
  if (!options_.background && before - std::min(freeable, bytes) + memory::kSlotBytes < after)
    fail("shrink() gave back " + std::to_string((before - after) / kMiB) + " MiB of " +
         std::to_string(freeable / kMiB) + " that were said to be freeable");
  store_->set_arena_limit(~uint64_t{0});
}

// What another thread still works on would count as open.
void Run::drain() {
  if (maintainer_) maintainer_->pause();
  constexpr int kBound = 1'000'000;
  int calls = 0;
  while (store_->maintain(worker_, 64) && calls < kBound) ++calls;
  if (maintainer_) maintainer_->resume();
  if (calls == kBound) fail("maintain() finds work for ever");
  reference_.settled();
  cap_holds_.fill(true);
}

}  // namespace tmem::model
