// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/xen/connection.h"

#include <cstring>
#include <utility>

namespace tmem::transport::xen {
namespace {

// All references of a queue: ring pages, then slots as the guest's directory lists them.
Result<std::vector<uint32_t>> queue_refs(const ConnectionOptions& options, const QueueOffer& queue,
                                         GrantMapper& grants) {
  const uint32_t directory_ref = queue.slot_directory_ref;
  TMEM_TRY(const auto directory,
           grants.map(options.guest, std::span(&directory_ref, 1), GrantAccess::kRead));
  std::vector<uint32_t> refs = queue.ring_refs;
  // The guest may write the page meanwhile: each word is read once.
  const auto* words = reinterpret_cast<const uint32_t*>(directory->bytes().data());
  for (uint32_t i = 0; i < options.offer.slots; ++i) refs.push_back(load_relaxed(words[i]));
  return refs;
}

// A new connection's counters begin at 0, whatever the guest left in its pages.
void clear_counters(tmem_control_page& control) {
  store_relaxed(control.rsp_prod, tmem_u32{0});
  store_relaxed(control.req_event, tmem_u32{0});
  store_relaxed(control.closed, tmem_u32{0});
  store_relaxed(control.credits_granted, tmem_u32{0});
}

}  // namespace

Result<void> Connection::map(const ConnectionOptions& options, const QueueOffer& offer,
                             GrantMapper& grants, QueueEnd& end) {
  TMEM_TRY(const std::vector<uint32_t> refs, queue_refs(options, offer, grants));
  TMEM_TRY(end.memory, grants.map(options.guest, refs, GrantAccess::kWrite));
  const UnmapNotice notice{offsetof(tmem_control_page, served), end.port->local_port()};
  TMEM_TRY(end.notice, grants.map_with_notice(options.guest, refs.front(), notice));
  return {};
}

Result<std::unique_ptr<Connection>> Connection::open(const ConnectionOptions& options,
                                                     Platform& platform, store::Store& store,
                                                     const store::ClientRef& client,
                                                     Workers& workers) {
  const Offer& offer = options.offer;
  std::unique_ptr<Connection> connection(new Connection(offer));
  // Ports first: binding is cheap to try again.
  for (const QueueOffer& queue : offer.queues) {
    QueueEnd& end = connection->queues_.emplace_back();
    TMEM_TRY(end.port, platform.events->bind(options.guest, queue.event_channel));
  }
  std::vector<RingView> rings;
  for (size_t i = 0; i < offer.queues.size(); ++i) {
    QueueEnd& end = connection->queues_[i];
    TMEM_CHECK(map(options, offer.queues[i], *platform.grants, end));
    TMEM_TRY(const RingView ring,
             RingView::over(end.memory->bytes(), offer.ring_order, offer.slots));
    if (options.taken_over && load_relaxed(ring.control().closed) != 0)
      return fail(Errc::kMalformed, "queue " + std::to_string(i) + " was closed already");
    rings.push_back(ring);
  }

  const auto queues = static_cast<uint32_t>(rings.size());
  for (uint32_t i = 0; i < queues; ++i) {
    if (!options.taken_over) clear_counters(rings[i].control());
    initialise_control(rings[i],
                       {offer.features, store::Store::epoch(*client), {i, queues, 0, false}});
  }
  if ((offer.features & TMEM_FEATURE_CREDITS) != 0) {
    TMEM_TRY(connection->credits_,
             Credits::open(store, client, rings.front().control(),
                           queues * tmem_slots_for_persistent(offer.slots), credits_left(rings)));
  }
  for (uint32_t i = 0; i < queues; ++i) {
    QueueEnd& end = connection->queues_[i];
    QueueOptions queue_options;
    queue_options.number = i;
    queue_options.queues = queues;
    queue_options.credits = connection->credits_.get();
    queue_options.bad_requests_max = options.bad_requests_max;
    TMEM_TRY(auto queue, Queue::attach(rings[i], queue_options, store, client, *end.port));
    TMEM_TRY(end.attachment, workers.attach(std::move(queue), end.port->fd(), options.on_closed));
    // The dead daemon may have answered without notifying.
    if (options.taken_over) end.port->ring();
  }
  return connection;
}

// All queues stop before any page goes: credits are published in the first one's memory.
Connection::~Connection() {
  for (QueueEnd& queue : queues_) queue.attachment.reset();
}

QueueTotals Connection::totals() const {
  QueueTotals totals;
  for (const QueueEnd& queue : queues_) totals += queue.attachment->counters();
  return totals;
}

}  // namespace tmem::transport::xen
