// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket: one JSON object per line in, one per line out (docs/control.md).
//
//   {"id": 7, "verb": "list", "args": {}}  ->  {"id": 7, "ok": true, "result": {...}}
//                                          or  {"id": 7, "ok": false, "error": {"code", "message"}}
//
// Who may: root, the daemon's own user and members of `group` everything; who else can open the
// socket may only read. Peers are hostile until shown otherwise: lines, nesting, connections,
// bytes waiting to be read and time are bounded, and each refusal is counted.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "libtmem/base/clock.h"
#include "libtmem/base/result.h"
#include "tmemd/arbiter/settings.h"
#include "tmemd/store/store.h"

namespace tmem::control {

struct ServerOptions {
  std::string socket_path;
  unsigned mode = 0660;
  std::string group;              // see ControlConfig
  uint32_t connections_max = 64;  // one more is told so and closed
  uint32_t readers_max = 48;  // of them, by who may only read: the rest stays for who may change
  uint32_t line_bytes_max = 64 * 1024;
  uint64_t idle_timeout_ms = 600'000;  // without any request
  uint64_t stall_timeout_ms = 10'000;  // half a request, or an answer that is not read
};

// What the daemon does for the server. Each may be empty. All are called on the server's thread
// (so none may destroy or stop the server), one at a time, and must not throw.
struct Hooks {
  // Asks the daemon to end soon; returns at once. Without `force` the server has checked that no
  // persistent pages are held; the daemon may still refuse.
  std::function<Result<void>(bool force)> request_shutdown;
  // An object with the transport's counters; becomes "transport" in the answer of `stats`.
  std::function<nlohmann::json()> transport_stats;
  // No client can put new pages until this was called with false as often as with true; when it
  // returns, none that began before is under way.
  std::function<void(bool refuse)> refuse_new_pages;
  // Ends the connection of this client and removes the client from the store. kNotFound if it has
  // no connection; the server then removes it from the store itself.
  std::function<Result<void>(uint32_t client)> disconnect_client;
  // How each client is connected, by number; becomes "transport" in the answer of `list`.
  std::function<std::map<uint32_t, nlohmann::json>()> client_transports;
  // Asks the guest to bring its persistent pages home, or takes that back; returns at once.
  // kConflict for a client that cannot be asked.
  std::function<Result<void>(uint32_t client, bool on)> set_evacuating;
  // What the pool's memory is made of and what the host has free; becomes "memory" in the answers
  // of `info` and `stats`, and is the answer of `make-room`.
  std::function<nlohmann::json()> memory;
  // Gives memory back until `bytes` of the host's memory are free, and takes none of it for
  // `hold_ms`; returns at once. Errors: kNoSpace when so much cannot be had (the message says how
  // much can), kConflict where the pool's memory is not the host's to give (memfd).
  std::function<Result<void>(uint64_t bytes, uint64_t hold_ms)> make_room;
  // Ends the hold.
  std::function<void()> cancel_room;
  // Memory scheduling for the guests of Xen: how it stands; a change of it, answered with how it
  // stands then; and why one guest, or each, has the memory that it has. Errors: kNotFound,
  // kConflict, kMalformed.
  std::function<nlohmann::json()> policy;
  std::function<Result<nlohmann::json>(const arbiter::Change&)> change_policy;
  std::function<Result<nlohmann::json>(const std::optional<std::string>& guest)> why;
  // With a manual clock only: moves it on, then does all background work that is due.
  std::function<void(uint64_t milliseconds)> step_clock;
  // A line for the log, already limited to a few a second.
  std::function<void(const std::string& line)> log;
};

// Since the start. Names are the keys of "control" in the answer of `stats`.
struct ServerCounters {
  std::atomic<uint64_t> connections{0};
  std::atomic<uint64_t> connections_refused{0};  // too many at once
  std::atomic<uint64_t> connections_timed_out{0};
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> requests_malformed{0};     // not JSON, too deep, wrong types, bad values
  std::atomic<uint64_t> requests_oversized{0};     // line longer than line_bytes_max
  std::atomic<uint64_t> requests_unauthorised{0};  // a reader asked for a change
  std::atomic<uint64_t> requests_unknown_verb{0};
  std::atomic<uint64_t> requests_failed{0};  // well-formed and allowed, but could not be done
};

// A running server with a thread of its own; the destructor stops it and removes the socket.
class ControlServer {
 public:
  // `store` and `clock` must outlive the server. Errors: kConflict if a live daemon answers on
  // the path, kNotFound if the group does not exist, kOs.
  static Result<std::unique_ptr<ControlServer>> create(const ServerOptions& options,
                                                       store::Store& store, const Clock& clock,
                                                       Hooks hooks);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // Ends all connections and the thread, removes the socket. Twice is allowed.
  void stop();

  const ServerCounters& counters() const;

 private:
  class Loop;
  explicit ControlServer(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace tmem::control
