// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/ring_view.h"

#include <array>
#include <string>

namespace tmem::transport {

Result<RingView> RingView::over(std::span<std::byte> memory, uint32_t order, uint32_t slots) {
  if (!RingLayout::is_valid(order, slots))
    return fail(Errc::kMalformed, "ring order must be " + std::to_string(TMEM_RING_ORDER_MIN) +
                                      ".." + std::to_string(TMEM_RING_ORDER_MAX) +
                                      " and slots per queue " + std::to_string(TMEM_SLOTS_MIN) +
                                      ".." + std::to_string(TMEM_SLOTS_MAX));
  const RingLayout layout = RingLayout::of(order, slots);
  if (memory.size() < layout.bytes ||
      reinterpret_cast<uintptr_t>(memory.data()) % alignof(uint64_t) != 0)
    return fail(Errc::kMalformed, "the shared memory is smaller than the queue it should hold");
  return RingView(memory.data(), layout);
}

RawRequest RingView::copy_request(uint32_t counter) const {
  constexpr size_t kWords = sizeof(tmem_request) / sizeof(uint64_t);
  std::array<uint64_t, kWords> words{};
  const tmem_request* entry = requests_ + (counter & (entries_ - 1));
  const auto* shared = reinterpret_cast<const uint64_t*>(entry);
  for (size_t i = 0; i < kWords; ++i) words[i] = load_relaxed(shared[i]);
  RawRequest raw;
  std::memcpy(&raw.wire, words.data(), sizeof(raw.wire));
  return raw;
}

void RingView::write_response(uint32_t counter, uint64_t id, store::Status status) const {
  tmem_response* entry = responses_ + (counter & (entries_ - 1));
  auto* shared = reinterpret_cast<uint64_t*>(entry);
  store_relaxed(shared[0], id);
  store_relaxed(shared[1], static_cast<uint64_t>(status));
}

void initialise_control(const RingView& ring, const ControlInit& init) {
  tmem_control_page& control = ring.control();
  control.version = TMEM_ABI_VERSION;
  control.features = init.features;
  control.store_epoch = init.store_epoch;
  control.queue = init.shape.number;
  control.queues = init.shape.queues;
  control.entries = ring.entries();
  control.slots = ring.slots();
  control.served = 1;
  store_release(control.magic, tmem_u32{TMEM_CONTROL_MAGIC});
}

}  // namespace tmem::transport
