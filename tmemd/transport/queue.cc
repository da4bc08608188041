// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/queue.h"

#include <algorithm>
#include <utility>

namespace tmem::transport {
namespace {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

}  // namespace

Result<std::unique_ptr<Queue>> Queue::attach(const RingView& ring, const QueueOptions& options,
                                             store::Store& store, store::ClientRef client,
                                             Doorbell& doorbell) {
  const uint32_t done = load_relaxed(ring.control().rsp_prod);
  const uint32_t posted = load_acquire(ring.control().req_prod);
  if (posted - done > ring.entries())
    return fail(Errc::kMalformed, "the ring's counters claim more requests than it has entries");
  return std::unique_ptr<Queue>(
      // The constructor is private, so make_unique cannot call it.
      new Queue(ring, options, store, std::move(client), doorbell, done));
}

Queue::Queue(const RingView& ring, const QueueOptions& options, store::Store& store,
             store::ClientRef client, Doorbell& doorbell, uint32_t done)
    : ring_(ring),
      options_(options),
      shape_{options.number, options.queues, ring.slots(), options.credits != nullptr},
      store_(store),
      client_(std::move(client)),
      doorbell_(doorbell),
      epoch_(store::Store::epoch(*client_)),
      done_(done),
      asked_at_(done) {}

Queue::Turn Queue::run(Context& context, uint32_t requests_max, const Interrupted& interrupted) {
  if (closed_ != CloseReason::kOpen) return {0, false, closed_};
  const uint32_t posted = load_acquire(ring_.control().req_prod);
  const uint32_t waiting = posted - done_;
  if (waiting == 0) return {};
  if (waiting > ring_.entries()) {
    close(CloseReason::kRequestOverflow);
    return {0, false, closed_};
  }
  if (load_relaxed(ring_.control().rsp_prod) != done_) {
    close(CloseReason::kResponseRewound);
    return {0, false, closed_};
  }

  const uint32_t old_done = unnotified_from_.value_or(done_);
  unnotified_from_.reset();
  const uint32_t count = std::min(waiting, requests_max);
  uint32_t executed = 0;
  Pending current = fetch(done_);
  uint64_t previous_id = 0;
  while (executed < count && closed_ == CloseReason::kOpen) {
    const bool has_next = executed + 1 < count;
    Pending next;
    if (has_next) {
      next = fetch(done_ + 1);
      prefetch(next);
    }
    const store::Status status = execute(context, current);
    uint64_t id = current.id;
    if (TMEM_MUTATED(kResponseSwapped)) {
      if (executed % 2 == 1)
        id = previous_id;
      else if (has_next)
        id = next.id;
      previous_id = current.id;
    }
    ring_.write_response(done_, id, status);
    ++done_;
    ++executed;
    store_release(ring_.control().rsp_prod, done_);
    if (bad_requests_ > options_.bad_requests_max) close(CloseReason::kTooManyBad);
    if (!has_next) break;
    if (interrupted && interrupted()) {
      unnotified_from_ = old_done;
      break;
    }
    current = next;
  }
  repeat_by_mutation(context, current);
  empty_events_in_row_ = 0;
  counters_.requests.add(executed);
  counters_.turns.add();
  if (options_.credits != nullptr) options_.credits->top_up();
  if (!unnotified_from_ || closed_ != CloseReason::kOpen) notify_since(old_done);
  return {executed, posted != done_, closed_};
}

Queue::Pending Queue::fetch(uint32_t counter) const {
  const RawRequest raw = ring_.copy_request(counter);
  return {raw.wire.id, raw.wire.epoch, decode(raw, shape_)};
}

void Queue::prefetch(const Pending& pending) const {
  if (!pending.request) return;
  if (const auto* put_request = std::get_if<Put>(&*pending.request)) {
    __builtin_prefetch(ring_.slot(put_request->slot).data());
    store_.prefetch(*client_, put_request->key.key());
  } else if (const auto* get_request = std::get_if<Get>(&*pending.request)) {
    store_.prefetch(*client_, get_request->key.key());
  }
}

store::Status Queue::execute(Context& context, const Pending& pending) {
  const store::Status status = pending.request
                                   ? execute_checked(context, *pending.request, pending.epoch)
                                   : refuse(pending.request.error());
  counters_.statuses[static_cast<size_t>(status) % kStatuses].add();
  if (status == store::Status::kNoSpace) context.saw_no_space = true;
  return status;
}

store::Status Queue::execute_checked(Context& context, const Request& request, uint64_t epoch) {
  const auto* put_request = std::get_if<Put>(&request);
  const bool paid = put_request != nullptr && put_request->payment == store::Payment::kCredit;
  if (paid && !options_.credits->spend()) return refuse(Refusal::kCredit);
  const bool stale = epoch != epoch_ && !TMEM_MUTATED(kStaleEpochAccepted);
  if (!stale && !skip_by_mutation()) return dispatch(context, request);
  if (paid) store_.release_credits(*client_, 1);
  return stale ? store::Status::kStaleEpoch : store::Status::kOk;
}

store::Status Queue::refuse(Refusal refusal) {
  ++bad_requests_;
  counters_.refusals[static_cast<size_t>(refusal)].add();
  return store::Status::kBadRequest;
}

store::Status Queue::dispatch(Context& context, const Request& request) {
  return std::visit(
      Overloaded{
          [](const Nop&) { return store::Status::kOk; },
          [this](const PoolCreate& r) { return store_.create_pool(*client_, r.pool.id(), r.spec); },
          [this](const PoolDestroy& r) { return store_.destroy_pool(*client_, r.pool.id()); },
          [this](const PoolFlush& r) { return store_.flush_pool(*client_, r.pool.id()); },
          [this, &context](const Put& r) { return put(context, r); },
          [this, &context](const Get& r) { return get(context, r); },
          [this, &context](const FlushPage& r) {
            return store_.flush_page(context.worker, *client_, r.key.key());
          },
          [this](const FlushObject& r) {
            return store_.flush_object(*client_, r.key.key().pool, r.key.key().object);
          },
      },
      request);
}

// The guest may change the slot at any time, so its bytes are read exactly once.
store::Status Queue::put(Context& context, const Put& request) {
  const store::PageBuffer slot =
      TMEM_MUTATED(kWrongSlot) ? ring_.neighbour(request.slot) : ring_.slot(request.slot);
  std::memcpy(context.page.data(), slot.data(), kPageBytes);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const store::Status status =
      store_.put(context.worker, *client_, request.key.key(), context.page, request.payment);
  return status == store::Status::kBadRequest ? refuse(Refusal::kCredit) : status;
}

store::Status Queue::get(Context& context, const Get& request) {
  const store::PageBuffer slot = ring_.slot(request.slot);
  if (TMEM_MUTATED(kGetShort)) {
    const store::Status status =
        store_.get(context.worker, *client_, request.key.key(), context.page);
    if (status == store::Status::kOk)
      std::memcpy(slot.data(), context.page.data(), kPageBytes - 64);
    return status;
  }
  return store_.get(context.worker, *client_, request.key.key(), slot);
}

void Queue::notify_since(uint32_t old_done) {
  store_full(ring_.control().rsp_prod, done_);
  const uint32_t wanted = load_full(ring_.control().rsp_event);
  if (tmem_needs_event(wanted, done_, old_done) == 0) return;
  counters_.notifications.add();
  doorbell_.ring();
}

bool Queue::arm() {
  if (closed_ != CloseReason::kOpen) return false;
  if (event_unacknowledged_) {
    event_unacknowledged_ = false;
    doorbell_.acknowledge();
  }
  if (asked_at_ != done_) {
    asked_at_ = done_;
    events_due_ = std::min(events_due_ + 1, kEventsDueMax);
  }
  store_full(ring_.control().req_event, done_);
  return load_full(ring_.control().req_prod) == done_;
}

Queue::Event Queue::note_event() {
  const bool asked_for = events_due_ > 0;
  counters_.events.add();
  if (asked_for)
    --events_due_;
  else
    counters_.unasked_events.add();
  event_unacknowledged_ = true;
  if (!has_requests()) {
    counters_.empty_events.add();
    if (++empty_events_in_row_ > options_.empty_events_max) close(CloseReason::kEventStorm);
  }
  return {asked_for, closed_};
}

void Queue::close(CloseReason reason) {
  if (closed_ != CloseReason::kOpen) return;
  closed_ = reason;
  counters_.closed.store(reason, std::memory_order_relaxed);
  store_release(ring_.control().closed, tmem_u32{1});
  doorbell_.ring();
}

#ifdef TMEM_MUTATIONS
bool Queue::skip_by_mutation() {
  return TMEM_MUTATED(kRequestSkipped) && ++mutation_count_ % 1024 == 0;
}

// The last request of a turn runs again at the end of the next turn, as after a crash that lost
// more than one answer.
void Queue::repeat_by_mutation(Context& context, const Pending& last) {
  if (!TMEM_MUTATED(kRequestRunTwice)) return;
  if (repeat_) (void)execute(context, *repeat_);
  repeat_ = last;
}
#else
bool Queue::skip_by_mutation() {
  return false;
}
void Queue::repeat_by_mutation(Context& /*context*/, const Pending& /*last*/) {}
#endif

}  // namespace tmem::transport
