// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libtmem/src/queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>

namespace tmem::client {

Queue::Queue(std::span<std::byte> memory, const RingLayout& layout, uint64_t store_epoch,
             int doorbell_fd, int wake_fd)
    : control_(reinterpret_cast<tmem_control_page*>(memory.data())),
      requests_(reinterpret_cast<tmem_request*>(memory.data() + layout.requests_offset_bytes)),
      responses_(
          reinterpret_cast<const tmem_response*>(memory.data() + layout.responses_offset_bytes)),
      slots_(memory.data() + layout.slots_offset_bytes),
      entries_(layout.entries),
      store_epoch_(store_epoch),
      doorbell_fd_(doorbell_fd),
      wake_fd_(wake_fd),
      next_id_(layout.entries),  // ids are never 0
      in_flight_(layout.entries) {
  const uint32_t persistent = tmem_slots_for_persistent(layout.slots);
  const uint32_t gets = tmem_slots_for_gets(layout.slots);
  for (uint32_t slot = layout.slots; slot-- > 0;) {
    Share share = Share::kOther;
    if (slot < persistent)
      share = Share::kPersistent;
    else if (slot >= layout.slots - gets)
      share = Share::kGet;
    free_slots_[static_cast<size_t>(share)].push_back(slot);
  }
}

bool Queue::post(const Operation& operation) {
  if (outstanding() >= entries_) return false;
  // Answers come in order, so the place of the oldest id is free again.
  InFlight& entry = in_flight_[next_id_ & (entries_ - 1)];
  if (entry.id != 0) return false;
  entry.operation = operation;
  entry.slot = TMEM_NO_SLOT;
  tmem_request wire = operation.wire;
  if (needs_slot(operation)) {
    entry.share = operation.get != nullptr ? Share::kGet
                  : operation.persistent   ? Share::kPersistent
                                           : Share::kOther;
    auto& free_slots = free_slots_[static_cast<size_t>(entry.share)];
    if (free_slots.empty()) return false;
    entry.slot = free_slots.back();
    free_slots.pop_back();
    if (operation.put != nullptr)
      std::memcpy(slot_bytes(entry.slot), operation.put, TMEM_PAGE_BYTES);
    wire.u.page.slot = entry.slot;
  }
  entry.id = next_id_++;
  wire.id = entry.id;
  wire.epoch = store_epoch_;
  requests_[posted_ & (entries_ - 1)] = wire;
  ++posted_;
  return true;
}

void Queue::publish() {
  if (published_ == posted_) return;
  store_full(control_->req_prod, posted_);
  const uint32_t wanted = load_full(control_->req_event);
  if (tmem_needs_event(wanted, posted_, published_) != 0) (void)eventfd_write(doorbell_fd_, 1);
  published_ = posted_;
}

int Queue::collect() {
  const uint32_t answered = load_acquire(control_->rsp_prod);
  const uint32_t count = answered - collected_;
  if (count > published_ - collected_) return -1;
  for (uint32_t i = 0; i < count; ++i) {
    tmem_response response;
    std::memcpy(&response, &responses_[collected_ & (entries_ - 1)], sizeof(response));
    ++collected_;
    if (!complete(response)) return -1;
  }
  return static_cast<int>(count);
}

bool Queue::complete(const tmem_response& response) {
  InFlight& entry = in_flight_[response.id & (entries_ - 1)];
  if (response.id == 0 || entry.id != response.id || response.status > TMEM_BAD_REQUEST)
    return false;
  if (entry.slot != TMEM_NO_SLOT) {
    if (entry.operation.get != nullptr && response.status == TMEM_OK)
      std::memcpy(entry.operation.get, slot_bytes(entry.slot), TMEM_PAGE_BYTES);
    // Capacity was reserved by the constructor's push_backs.
    free_slots_[static_cast<size_t>(entry.share)].push_back(entry.slot);
  }
  *entry.operation.status = response.status;
  entry.id = 0;
  return true;
}

bool Queue::arm(bool soon) {
  const uint32_t waiting = outstanding();
  const uint32_t event = collected_ + (soon ? (waiting + 1) / 2 : waiting) - 1;
  store_full(control_->rsp_event, event);
  const uint32_t answered = load_full(control_->rsp_prod);
  // Enough is there already: the daemon saw the old event and sends nothing.
  return static_cast<uint32_t>(answered - collected_) <= static_cast<uint32_t>(event - collected_);
}

void Queue::drain_wake() const {
  std::array<char, 256> bytes{};
  const ssize_t ignored = ::read(wake_fd_, bytes.data(), bytes.size());
  (void)ignored;
}

}  // namespace tmem::client
