// SPDX-License-Identifier: GPL-2.0-or-later
// How often guests may have the loop turn at once. A turn is for all: who comes too often waits for
// the next one, and takes no other's place.
#pragma once
#include <cstdint>

#include "policy/per_second.h"

namespace tmem::policy {

class UrgentTurns {
 public:
  static constexpr uint32_t kPerSecond = 4;
  static constexpr uint32_t kOfOneGuest = 2;

  // `guest` counts the turns that this guest was given.
  bool take(PerSecond& guest, uint64_t now_ms) {
    return all_.has_room(kPerSecond, now_ms) && guest.take(kOfOneGuest, now_ms) &&
           all_.take(kPerSecond, now_ms);
  }

 private:
  PerSecond all_;
};

}  // namespace tmem::policy
