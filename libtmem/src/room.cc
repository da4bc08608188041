// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libtmem/src/room.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "libtmem/base/units.h"

namespace tmem::control {
namespace {

using nlohmann::json;

constexpr uint64_t kLookAgainMs = 100;

uint64_t number_at(const json& object, const char* pointer) {
  const json::json_pointer place(pointer);
  if (!object.contains(place) || !object[place].is_number_unsigned()) return 0;
  return object[place].get<uint64_t>();
}

std::string mib_text(uint64_t bytes) {
  return std::to_string(bytes / kMiB) + " MiB";
}

// Why there is no room, and what to do.
std::string problem_text(const RoomRequest& request, const json& memory, RoomOutcome outcome) {
  if (outcome == RoomOutcome::kWithdrawn)
    return "tmemd makes this room no more: somebody else asked for room, or took the request back";
  // Rounded up, so that it never looks equal to what there is.
  const std::string wanted = mib_text(request.bytes + kMiB - 1);
  const std::string figures = mib_text(unclaimed_bytes(memory)) + " are free, " +
                              mib_text(giveable_bytes(memory)) + " more could be given back";
  if (outcome == RoomOutcome::kLate)
    return wanted + " are not free after " + std::to_string(request.timeout_ms / 1000) +
           " s: " + figures + "; wait longer, or shut down or shrink a guest";
  return wanted + " cannot be made free: " + figures +
         "; guests' persistent pages (swap) stay: ask for less, or shut down or shrink a guest";
}

// Nothing while it is in the making. tmemd has one request at a time: with another size it is
// somebody else's, and so is the answer.
std::optional<RoomOutcome> outcome_of(const json& memory, uint64_t bytes, bool late) {
  const std::string state = room_state(memory);
  if (number_at(memory, "/room/wanted_bytes") != bytes) return RoomOutcome::kWithdrawn;
  if (state == "ready") return RoomOutcome::kReady;
  if (state == "impossible") return RoomOutcome::kImpossible;
  if (state.empty()) return RoomOutcome::kWithdrawn;
  if (late) return RoomOutcome::kLate;
  return std::nullopt;
}

}  // namespace

uint64_t unclaimed_bytes(const json& memory) {
  const uint64_t free_bytes = number_at(memory, "/host/free_bytes");
  return free_bytes - std::min(free_bytes, number_at(memory, "/host/claimed_bytes"));
}

uint64_t giveable_bytes(const json& memory) {
  return number_at(memory, "/freeable_bytes");
}

std::string room_state(const json& memory) {
  const json::json_pointer place("/room/state");
  if (!memory.contains(place) || !memory[place].is_string()) return "";
  return memory[place].get<std::string>();
}

Result<Room> wait_for_room(const RoomWaiter& waiter, const RoomRequest& request) {
  const uint64_t start_ms = waiter.clock.now_ms();
  TMEM_TRY(json memory,
           waiter.ask("make-room", {{"bytes", request.bytes}, {"hold_ms", request.hold_ms}}));
  while (true) {
    const uint64_t waited_ms = waiter.clock.now_ms() - start_ms;
    if (const auto outcome = outcome_of(memory, request.bytes, waited_ms >= request.timeout_ms)) {
      if (*outcome == RoomOutcome::kReady) return Room{*outcome, std::move(memory), ""};
      if (*outcome != RoomOutcome::kWithdrawn) (void)waiter.ask("make-room", {{"cancel", true}});
      const std::string problem = problem_text(request, memory, *outcome);
      return Room{*outcome, std::move(memory), problem};
    }
    if (waiter.progress) waiter.progress(memory, waited_ms);
    waiter.sleep(std::min(kLookAgainMs, request.timeout_ms - waited_ms));
    TMEM_TRY(const json info, waiter.ask("info", json::object()));
    memory = info.is_object() ? info.value("memory", json()) : json();
  }
}

}  // namespace tmem::control
