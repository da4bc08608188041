// SPDX-License-Identifier: LGPL-2.1-or-later
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <utility>

#include "libtmem/base/clock.h"
#include "tmem/control.hpp"

namespace tmem::control {
namespace {

using nlohmann::json;

// An answer longer than this is not one of ours.
constexpr size_t kAnswerBytesMax = 64 * 1024 * 1024;

Errc code_of(std::string_view name) {
  if (name == "malformed" || name == "unknown-verb") return Errc::kMalformed;
  if (name == "denied") return Errc::kDenied;
  if (name == "no-space") return Errc::kNoSpace;
  if (name == "not-found") return Errc::kNotFound;
  if (name == "conflict") return Errc::kConflict;
  return Errc::kOs;
}

// Waits until the socket is ready. Errors: kOs, also for the deadline.
Result<void> wait_for(int fd, short events, uint64_t deadline_ms) {
  const SteadyClock clock;
  while (true) {
    const uint64_t now_ms = clock.now_ms();
    if (now_ms >= deadline_ms)
      return fail(Errc::kOs, "tmemd does not answer in time: is it stopped or overloaded?");
    pollfd entry{fd, events, 0};
    const int ready = poll(&entry, 1, static_cast<int>(deadline_ms - now_ms));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail_os("waiting for tmemd");
  }
}

tl::unexpected<Error> connect_error(const std::string& path, int os_errno) {
  switch (os_errno) {
    case ENOENT:
    case ECONNREFUSED:
      return fail(Errc::kNotFound, "tmemd does not listen on " + path +
                                       ": start it, or name its socket with -s or TMEM_SOCKET");
    case EACCES:
    case EPERM:
      return fail(Errc::kDenied, "no permission to open " + path +
                                     ": run as root, or as a member of the group of [control] "
                                     "group in tmemd.toml");
    default:
      return fail_os("cannot connect to " + path, os_errno);
  }
}

// The answer's result, or the daemon's error. `broken` is set when nothing more can be asked: it is
// no answer to `id`, or a refusal of the connection as a whole (id null).
Result<json> take_result(const std::string& line, uint64_t id, bool& broken) {
  json answer = json::parse(line, nullptr, false);
  const bool well_formed =
      answer.is_object() && answer.contains("id") && answer.value("ok", json()).is_boolean();
  const bool refused = well_formed && !answer["ok"].get<bool>();
  broken = !well_formed || answer["id"] != json(id);
  if (broken && !(refused && answer["id"].is_null()))
    return fail(Errc::kOs, "the answer is not tmemd's: is the socket another program's?");
  if (!refused) return answer.value("result", json());
  const json error = answer.value("error", json::object());
  const json code = error.is_object() ? error.value("code", json()) : json();
  const json message = error.is_object() ? error.value("message", json()) : json();
  return fail(code_of(code.is_string() ? code.get<std::string>() : ""),
              message.is_string() ? message.get<std::string>() : "tmemd refused without a reason");
}

}  // namespace

Result<Client> Client::connect(const ConnectOptions& options) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options.socket_path.empty() || options.socket_path.size() >= sizeof(address.sun_path))
    return fail(Errc::kMalformed, "a socket path has 1 to 107 bytes: " + options.socket_path);
  std::copy(options.socket_path.begin(), options.socket_path.end(), address.sun_path);
  Client client(UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
                options.timeout_ms);
  if (!client.fd_) return fail_os("cannot create a socket");
  const auto* const plain = reinterpret_cast<const sockaddr*>(&address);
  const uint64_t deadline_ms = SteadyClock().now_ms() + options.timeout_ms;
  // EAGAIN: the daemon's queue of connections is full for the moment.
  while (::connect(client.fd_.get(), plain, sizeof(address)) != 0) {
    if (errno != EAGAIN && errno != EINTR) return connect_error(options.socket_path, errno);
    if (SteadyClock().now_ms() >= deadline_ms) return connect_error(options.socket_path, ETIMEDOUT);
    (void)poll(nullptr, 0, 10);
  }
  return client;
}

tl::unexpected<Error> Client::lose(Errc code, std::string message) {
  fd_.reset();
  return fail(code, std::move(message));
}

Result<void> Client::send_line(const std::string& line, uint64_t deadline_ms) {
  size_t sent_bytes = 0;
  while (sent_bytes < line.size()) {
    const ssize_t sent =
        send(fd_.get(), line.data() + sent_bytes, line.size() - sent_bytes, MSG_NOSIGNAL);
    if (sent > 0) {
      sent_bytes += static_cast<size_t>(sent);
    } else if (errno == EAGAIN) {
      TMEM_CHECK(wait_for(fd_.get(), POLLOUT, deadline_ms));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return {};  // its parting words may still be readable
    } else if (errno != EINTR) {
      return fail_os("cannot send to tmemd");
    }
  }
  return {};
}

Result<std::string> Client::receive_line(uint64_t deadline_ms) {
  size_t searched_bytes = 0;
  while (true) {
    const size_t end = received_.find('\n', searched_bytes);
    if (end != std::string::npos) {
      std::string line = received_.substr(0, end);
      received_.erase(0, end + 1);
      return line;
    }
    searched_bytes = received_.size();
    if (searched_bytes > kAnswerBytesMax)
      return fail(Errc::kOs, "the answer is too long to be tmemd's");
    std::array<char, 16384> chunk;
    const ssize_t got = recv(fd_.get(), chunk.data(), chunk.size(), 0);
    if (got > 0) {
      received_.append(chunk.data(), static_cast<size_t>(got));
    } else if (got == 0 || errno == ECONNRESET) {
      return fail(Errc::kOs, "tmemd closed the connection: it stopped, or has too many");
    } else if (errno == EAGAIN) {
      TMEM_CHECK(wait_for(fd_.get(), POLLIN, deadline_ms));
    } else if (errno != EINTR) {
      return fail_os("cannot receive from tmemd");
    }
  }
}

Result<json> Client::call(std::string_view verb, const json& args) {
  if (lost()) return fail(Errc::kOs, "the connection to tmemd is lost");
  const uint64_t id = next_id_++;
  const uint64_t deadline_ms = SteadyClock().now_ms() + timeout_ms_;
  try {
    const json request = {{"id", id}, {"verb", verb}, {"args", args}};
    const std::string line = request.dump(-1, ' ', true, json::error_handler_t::replace) + '\n';
    if (auto sent = send_line(line, deadline_ms); !sent)
      return lose(sent.error().code, sent.error().message);
    auto answer = receive_line(deadline_ms);
    if (!answer) return lose(answer.error().code, answer.error().message);
    bool broken = false;
    auto result = take_result(*answer, id, broken);
    if (broken) fd_.reset();
    return result;
  } catch (const std::exception& error) {
    return lose(Errc::kOs, std::string("the answer cannot be read: ") + error.what());
  }
}

}  // namespace tmem::control
