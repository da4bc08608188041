// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/xen/offer.h"

#include "libtmem/base/ring_layout.h"
#include "tmem/text.hpp"

namespace tmem::transport::xen {
namespace {

// Event channel numbers of the widest interface there is (FIFO: 2^17).
constexpr uint32_t kPortsEnd = 1u << 17;

struct Range {
  uint32_t min = 0;
  uint32_t max = UINT32_MAX;
};

class Reader {
 public:
  Reader(XenStore& store, const std::string& frontend) : store_(store), frontend_(frontend) {}

  Result<uint32_t> number(const std::string& key, Range range) {
    TMEM_TRY(const auto text, store_.look(frontend_ + "/" + key));
    if (!text) return fail(Errc::kMalformed, key + " is missing");
    const auto number = parse_number(*text, UINT32_MAX);
    if (!number || *number < range.min || *number > range.max)
      return fail(Errc::kMalformed, key + " is \"" + printable(*text, 20) +
                                        "\", not a number from " + std::to_string(range.min) +
                                        " to " + std::to_string(range.max));
    return static_cast<uint32_t>(*number);
  }

  Result<QueueOffer> queue(uint32_t index, uint32_t ring_pages) {
    const std::string folder = "queue-" + std::to_string(index) + "/";
    QueueOffer offer;
    for (uint32_t page = 0; page < ring_pages; ++page) {
      TMEM_TRY(const uint32_t ref, number(folder + "ring-ref-" + std::to_string(page), {}));
      offer.ring_refs.push_back(ref);
    }
    TMEM_TRY(offer.slot_directory_ref, number(folder + "slot-directory", {}));
    TMEM_TRY(offer.event_channel, number(folder + "event-channel", {1, kPortsEnd - 1}));
    return offer;
  }

  // Zero where the frontend does not say.
  Result<uint32_t> feature(const std::string& key) {
    TMEM_TRY(const auto text, store_.look(frontend_ + "/" + key));
    if (!text) return 0;
    return number(key, {0, 1});
  }

 private:
  XenStore& store_;
  const std::string& frontend_;
};

}  // namespace

uint64_t Offer::memory_bytes() const {
  return queues.size() * RingLayout::of(ring_order, slots).bytes;
}

Result<Offer> read_offer(XenStore& store, const std::string& frontend, const Limits& limits) {
  Reader reader(store, frontend);
  TMEM_TRY([[maybe_unused]] const uint32_t version,
           reader.number("version", {TMEM_ABI_VERSION, TMEM_ABI_VERSION}));
  Offer offer;
  TMEM_TRY(const uint32_t queues, reader.number("num-queues", {1, limits.queues_max}));
  TMEM_TRY(offer.ring_order,
           reader.number("ring-order", {TMEM_RING_ORDER_MIN, limits.ring_order_max}));
  TMEM_TRY(offer.slots, reader.number("num-slots", {TMEM_SLOTS_MIN, limits.slots_max}));
  TMEM_TRY(const uint32_t credits, reader.feature("feature-credits"));
  if (credits == 1) offer.features |= TMEM_FEATURE_CREDITS & kXenFeatures;
  for (uint32_t i = 0; i < queues; ++i) {
    TMEM_TRY(QueueOffer queue, reader.queue(i, 1u << offer.ring_order));
    offer.queues.push_back(std::move(queue));
  }
  return offer;
}

std::optional<uint32_t> read_number(XenStore& store, const std::string& path) {
  const auto text = store.read(path);
  const auto number = text ? parse_number(*text, UINT32_MAX) : std::nullopt;
  if (!number) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

std::string printable(std::string_view text, size_t bytes_max) {
  std::string result;
  for (const char c : text.substr(0, bytes_max)) result += c >= 0x20 && c < 0x7f ? c : '?';
  return result;
}

}  // namespace tmem::transport::xen
