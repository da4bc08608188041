// SPDX-License-Identifier: GPL-2.0-or-later
// The verbs about the host's memory: what is free and could be, and room for guests.
#include <algorithm>

#include "tmemd/control/dispatcher.h"
#include "tmemd/control/settings.h"

namespace tmem::control {
namespace {

using nlohmann::json;

constexpr uint64_t kRoomMinBytes = kMiB;
constexpr uint64_t kHoldMaxMs = uint64_t{3600} * 1000;
constexpr uint64_t kHoldDefaultMs = 60'000;

// The host's free memory that nobody has claimed; nothing where it is not known.
std::optional<uint64_t> unclaimed_bytes(const json& memory) {
  if (!memory.is_object()) return std::nullopt;
  const json host = memory.value("host", json());
  if (!host.is_object()) return std::nullopt;
  const auto free_bytes = host.value("free_bytes", uint64_t{0});
  return free_bytes - std::min(free_bytes, host.value("claimed_bytes", uint64_t{0}));
}

}  // namespace

json Dispatcher::memory() const {
  return hooks_.memory ? hooks_.memory() : json();
}

Result<json> Dispatcher::freeable(Args& args) {
  TMEM_CHECK(args.finish());
  json answer = {{"freeable_bytes", store_.stats().freeable_bytes}};
  if (const auto free_bytes = unclaimed_bytes(memory())) answer["host_free_bytes"] = *free_bytes;
  return answer;
}

Result<json> Dispatcher::make_room(Args& args) {
  const bool cancel = args.flag("cancel");
  const auto bytes = args.number("bytes", kRoomMinBytes, kMemoryMaxBytes);
  const auto hold_ms = args.number("hold_ms", 1, kHoldMaxMs);
  if (cancel == bytes.has_value())
    args.refuse("bytes", "write how much is to be free, or \"cancel\": true");
  if (cancel && hold_ms) args.refuse("hold_ms", "goes with bytes only");
  TMEM_CHECK(args.finish());
  if (!hooks_.make_room)
    return fail(Errc::kConflict, "this daemon's pool is none of the host's memory to give back");
  if (!cancel) TMEM_CHECK(hooks_.make_room(*bytes, hold_ms.value_or(kHoldDefaultMs)));
  if (cancel && hooks_.cancel_room) hooks_.cancel_room();
  return hooks_.memory ? hooks_.memory() : json::object();
}

}  // namespace tmem::control
