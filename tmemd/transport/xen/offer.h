// SPDX-License-Identifier: GPL-2.0-or-later
// What a frontend offers to connect with: the guest's keys, checked against our limits.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "libtmem/base/result.h"
#include "tmem/abi.h"
#include "tmemd/transport/xen/platform.h"

namespace tmem::transport::xen {

// What a guest may ask for; published in the backend's nodes.
struct Limits {
  uint32_t queues_max = 4;
  uint32_t ring_order_max = 4;
  uint32_t slots_max = 1024;  // of a queue; a directory page has room for 1024
};
inline constexpr uint32_t kSlotsPerDirectory = kPageBytes / sizeof(uint32_t);

// Feature bits that this daemon offers on Xen.
inline constexpr uint64_t kXenFeatures = TMEM_FEATURE_CREDITS;

struct QueueOffer {
  std::vector<uint32_t> ring_refs;  // 2^ring_order
  uint32_t slot_directory_ref = 0;
  uint32_t event_channel = 0;
};

struct Offer {
  uint32_t ring_order = 0;
  uint32_t slots = 0;
  uint64_t features = 0;
  std::vector<QueueOffer> queues;  // 1 .. Limits::queues_max

  uint64_t memory_bytes() const;  // of all queues
};

// Reads the keys below `frontend`. Errors: kMalformed, the message names the key; kOs where
// xenstore does not answer.
Result<Offer> read_offer(XenStore& store, const std::string& frontend, const Limits& limits);

// A whole decimal number, as xenstore's users write them; empty for anything else.
std::optional<uint32_t> read_number(XenStore& store, const std::string& path);

// A guest's text, fit for a log: printable ASCII of at most `bytes_max`.
std::string printable(std::string_view text, size_t bytes_max = 80);

}  // namespace tmem::transport::xen
