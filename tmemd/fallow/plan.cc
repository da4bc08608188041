// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/fallow/plan.h"

#include <algorithm>

#include "tmemd/memory/slot_provider.h"

namespace tmem::fallow {
namespace {

uint64_t slots_down(uint64_t bytes) {
  return bytes / memory::kSlotBytes * memory::kSlotBytes;
}
uint64_t slots_up(uint64_t bytes) {
  return slots_down(bytes + memory::kSlotBytes - 1);
}

}  // namespace

Plan plan(const memory::xen::HostMemoryInfo& host, uint64_t pool_bytes, const Limits& limits,
          const std::optional<Wish>& wish) {
  const uint64_t available_bytes = host.available_bytes();
  const uint64_t wish_bytes = wish ? wish->bytes : 0;
  const bool shrinks_for_wish = wish && !wish->met && wish_bytes > limits.head_room_bytes;
  const uint64_t wanted_bytes = shrinks_for_wish ? wish_bytes : limits.head_room_bytes;

  Plan plan;
  plan.floor_bytes = std::max(limits.head_room_bytes, wish_bytes);
  plan.bound = wish_bytes > limits.head_room_bytes ? Bound::kWish : Bound::kHeadRoom;
  if (available_bytes < wanted_bytes) {
    const uint64_t missing_bytes = slots_up(wanted_bytes - available_bytes);
    plan.pool_bytes_max = pool_bytes - std::min(pool_bytes, missing_bytes);
  } else {
    const uint64_t spare_bytes = available_bytes - std::min(available_bytes, plan.floor_bytes);
    plan.pool_bytes_max = pool_bytes + slots_down(spare_bytes);
  }
  if (plan.pool_bytes_max >= slots_down(limits.pool_bytes_max)) {
    plan.pool_bytes_max = slots_down(limits.pool_bytes_max);
    plan.bound = Bound::kMaximum;
  }
  return plan;
}

uint64_t reserved_bytes(uint64_t available_bytes, uint64_t head_room_bytes, uint64_t wish_bytes,
                        bool met) {
  const uint64_t wanted_bytes = met ? std::min(wish_bytes, available_bytes) : wish_bytes;
  return std::max(head_room_bytes, wanted_bytes);
}

}  // namespace tmem::fallow
