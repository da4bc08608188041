// SPDX-License-Identifier: GPL-2.0-or-later
// How much memory the pool may hold, from what Xen has free: pure functions, on which the keeper
// (keeper.h) acts.
//
// The pool may take Xen's free memory, less what is claimed for domains being built, down to a
// head-room. A wish (the verb make-room) raises that for a while: until it is met the pool shrinks
// for it, then it does not grow into what it gave, so that the guest gets it.
#pragma once
#include <cstdint>
#include <optional>

#include "tmemd/memory/xen/hypervisor.h"

namespace tmem::fallow {

struct Wish {
  uint64_t bytes = 0;  // that shall be free and unclaimed
  uint64_t until_ms = 0;
  bool met = false;  // they were, once
};

struct Limits {
  uint64_t pool_bytes_max = 0;
  uint64_t head_room_bytes = 0;
};

// What stops the pool from holding more.
enum class Bound { kMaximum, kHeadRoom, kWish };

struct Plan {
  uint64_t pool_bytes_max = 0;  // whole slots; less than it holds: the rest is to be given back
  uint64_t floor_bytes = 0;     // that the pool leaves free when it grows
  Bound bound = Bound::kMaximum;
};

Plan plan(const memory::xen::HostMemoryInfo& host, uint64_t pool_bytes, const Limits& limits,
          const std::optional<Wish>& wish);

// What the guests have to leave free: the head-room and, while room is made, all of the wish. Once
// it was met a guest takes from it: what is left of it is nobody else's, but not to be made again.
uint64_t reserved_bytes(uint64_t available_bytes, uint64_t head_room_bytes, uint64_t wish_bytes,
                        bool met);

}  // namespace tmem::fallow
