// SPDX-License-Identifier: LGPL-2.1-or-later
// The C API for toolstacks (host.h) over control::Client. No exception leaves these functions.
#include "tmem/host.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>
#include <string_view>

#include "libtmem/base/units.h"
#include "libtmem/src/room.h"
#include "tmem/control.hpp"

namespace {

using nlohmann::json;
using tmem::Errc;
using tmem::Result;
using tmem::control::Client;
using tmem::control::Room;
using tmem::control::RoomOutcome;

constexpr uint64_t kRoomMaxBytes = 64 * 1024 * tmem::kGiB;
constexpr uint32_t kTimeoutMaxMs = 3'600'000;
constexpr uint32_t kAnswerTimeoutMs = 10'000;
constexpr uint64_t kHoldMs = 60'000;

void explain(tmem_room* out, std::string_view text) {
  if (out == nullptr) return;
  const size_t bytes = std::min(text.size(), sizeof(out->reason) - 1);
  std::memcpy(out->reason, text.data(), bytes);
  out->reason[bytes] = '\0';
}

// The host's part is unknown where `memory` has none.
void fill(tmem_room* out, const json& memory) {
  if (out == nullptr) return;
  const bool known = memory.contains(json::json_pointer("/host/free_bytes"));
  out->free_bytes = known ? tmem::control::unclaimed_bytes(memory) : TMEM_UNKNOWN_BYTES;
  out->freeable_bytes = tmem::control::giveable_bytes(memory);
}

// `lost`: there is no connection, or no more.
int refused(tmem_room* out, const tmem::Error& error, bool lost) {
  explain(out, error.message);
  switch (error.code) {
    case Errc::kMalformed:
      return -EINVAL;
    case Errc::kDenied:
      return -EACCES;
    case Errc::kNoSpace:
      return -ENOSPC;
    case Errc::kConflict:
      return -EOPNOTSUPP;
    case Errc::kNotFound:
    case Errc::kOs:
      break;
  }
  return lost ? -ENOTCONN : -EIO;
}

// Connects and runs `work` (Client& -> Result<int>).
template <class Work>
int with_daemon(const char* socket, tmem_room* out, const Work& work) {
  explain(out, "");
  try {
    fill(out, json());
    auto client =
        Client::connect({socket != nullptr ? socket : TMEM_CONTROL_SOCKET, kAnswerTimeoutMs});
    if (!client) return refused(out, client.error(), true);
    const Result<int> status = work(*client);
    return status ? *status : refused(out, status.error(), client->lost());
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  } catch (...) {
    return -EIO;
  }
}

int status_of(RoomOutcome outcome) {
  switch (outcome) {
    case RoomOutcome::kReady:
      return 0;
    case RoomOutcome::kImpossible:
      return -ENOSPC;
    case RoomOutcome::kLate:
      return -ETIMEDOUT;
    case RoomOutcome::kWithdrawn:
      return -ECANCELED;
  }
  return -EIO;
}

Result<int> make_room(Client& client, const tmem::control::RoomRequest& request, tmem_room* out) {
  const tmem::SteadyClock clock;
  const auto ask = [&client](std::string_view verb, const json& args) {
    return client.call(verb, args);
  };
  const auto sleep = [](uint64_t ms) { (void)poll(nullptr, 0, static_cast<int>(ms)); };
  TMEM_TRY(const Room room, tmem::control::wait_for_room({ask, clock, sleep, {}}, request));
  fill(out, room.memory);
  explain(out, room.problem);
  return status_of(room.outcome);
}

}  // namespace

extern "C" {

int tmem_make_room(const char* control_socket, uint64_t bytes, uint32_t timeout_ms,
                   struct tmem_room* out) {
  return with_daemon(control_socket, out, [&](Client& client) -> Result<int> {
    if (bytes < tmem::kMiB || bytes > kRoomMaxBytes || timeout_ms > kTimeoutMaxMs)
      return tmem::fail(Errc::kMalformed, "bytes: 1 MiB to 64 TiB; timeout_ms: up to an hour");
    return make_room(client, {bytes, timeout_ms, kHoldMs}, out);
  });
}

int tmem_cancel_room(const char* control_socket) {
  return with_daemon(control_socket, nullptr, [](Client& client) -> Result<int> {
    TMEM_CHECK(client.call("make-room", {{"cancel", true}}));
    return 0;
  });
}

int tmem_freeable(const char* control_socket, struct tmem_room* out) {
  if (out == nullptr) return -EINVAL;
  return with_daemon(control_socket, out, [out](Client& client) -> Result<int> {
    TMEM_TRY(const json answer, client.call("freeable", json::object()));
    out->freeable_bytes = tmem::control::giveable_bytes(answer);
    const auto free_bytes = answer.find("host_free_bytes");
    if (free_bytes != answer.end() && free_bytes->is_number_unsigned())
      out->free_bytes = free_bytes->get<uint64_t>();
    return 0;
  });
}

}  // extern "C"
