// SPDX-License-Identifier: LGPL-2.1-or-later
// Room for a guest, waited for: asks tmemd until the host has so much memory free.
#pragma once
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "libtmem/base/clock.h"
#include "libtmem/base/result.h"

namespace tmem::control {

struct RoomRequest {
  uint64_t bytes = 0;
  uint64_t timeout_ms = 0;  // 0: one look
  uint64_t hold_ms = 0;     // 1 to 3600000: how long the pool takes none of it once it is there
};

enum class RoomOutcome {
  kReady,
  kImpossible,  // so much cannot be had
  kLate,        // not within the time
  kWithdrawn,   // somebody else asked, or took the request back
};

struct Room {
  RoomOutcome outcome = RoomOutcome::kReady;
  nlohmann::json memory;  // as in docs/control.md, at the last look
  std::string problem;    // unless ready: a sentence that says what to do
};

// How the wait reaches its surroundings.
struct RoomWaiter {
  // One request to the daemon, as Client::call.
  std::function<Result<nlohmann::json>(std::string_view verb, const nlohmann::json& args)> ask;
  const Clock& clock;
  std::function<void(uint64_t ms)> sleep;
  // After each look that found it in the making still. May be empty.
  std::function<void(const nlohmann::json& memory, uint64_t waited_ms)> progress;
};

// Of "memory": the host's memory that is free and not claimed; what could be given back besides; 0
// where that is not known. And "making", "ready" or "impossible"; empty when no room is asked for.
uint64_t unclaimed_bytes(const nlohmann::json& memory);
uint64_t giveable_bytes(const nlohmann::json& memory);
std::string room_state(const nlohmann::json& memory);

// Unless it gets ready the request is taken back (if it is still there). Errors: those of `ask`;
// the daemon's kNoSpace (so much cannot be had) and kConflict (the pool's memory is not the host's)
// are among them.
Result<Room> wait_for_room(const RoomWaiter& waiter, const RoomRequest& request);

}  // namespace tmem::control
