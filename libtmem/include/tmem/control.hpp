// SPDX-License-Identifier: LGPL-2.1-or-later
// Client of tmemd's control socket, for the CLI, the lab and monitoring. The verbs, their
// arguments and results are described in docs/control.md.
//
//   TMEM_TRY(auto control, tmem::control::Client::connect({}));
//   TMEM_TRY(auto result, control.call("list", nlohmann::json::object()));
//
// Threads: one Client is used by one thread at a time.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "libtmem/base/result.h"
#include "libtmem/base/unique_fd.h"

namespace tmem::control {

inline constexpr const char* kDefaultSocket = "/run/tmemd/control.sock";

struct ConnectOptions {
  std::string socket_path = kDefaultSocket;
  uint32_t timeout_ms = 10'000;  // for each call, and for the connect
};

class Client {
 public:
  // Errors: kNotFound if nothing listens on the path, kDenied if the socket may not be opened,
  // kOs. The message says what to do.
  static Result<Client> connect(const ConnectOptions& options);

  // Sends one request and waits for its answer; returns its "result". A refusal of the daemon has
  // the daemon's message, and its code: malformed and unknown-verb give kMalformed, denied
  // kDenied, no-space kNoSpace, not-found kNotFound, conflict kConflict, everything else kOs.
  // After an error of the connection itself (lost() is true) the client is of no further use.
  Result<nlohmann::json> call(std::string_view verb, const nlohmann::json& args);

  // The connection broke, timed out, or carried something that is no answer.
  bool lost() const { return !fd_; }

 private:
  Client(UniqueFd fd, uint32_t timeout_ms) : fd_(std::move(fd)), timeout_ms_(timeout_ms) {}
  Result<void> send_line(const std::string& line, uint64_t deadline_ms);
  Result<std::string> receive_line(uint64_t deadline_ms);
  tl::unexpected<Error> lose(Errc code, std::string message);

  UniqueFd fd_;  // empty once lost
  uint32_t timeout_ms_ = 0;
  uint64_t next_id_ = 1;
  std::string received_;  // bytes after the last complete line
};

}  // namespace tmem::control
