// SPDX-License-Identifier: GPL-2.0-or-later
// The poll loop: accepts, moves bytes between sockets and sessions, ends those that stall.
#include "tmemd/control/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <list>
#include <thread>
#include <utility>
#include <vector>

#include "libtmem/base/unique_fd.h"
#include "tmemd/control/dispatcher.h"
#include "tmemd/control/listener.h"
#include "tmemd/control/session.h"

namespace tmem::control {
namespace {

// Requests answered for one connection before the others get their turn.
constexpr int kRequestsPerTurn = 16;
constexpr int kAcceptsPerTurn = 16;
// How often timeouts are looked at while there are connections.
constexpr int kTickMs = 500;

struct Connection {
  UniqueFd fd;
  bool may_change = false;
  Session session;
  uint64_t progress_ms = 0;     // the last time a request began or an answer was read in full
  uint64_t mid_request_ms = 0;  // since when mid_request() holds; 0: it does not
  bool broken = false;
};

}  // namespace

class ControlServer::Loop {
 public:
  Loop(const ServerOptions& options, store::Store& store, const Clock& clock, Hooks hooks,
       Listener listener, UniqueFd wake)
      : options_(options),
        clock_(clock),
        listener_(std::in_place, std::move(listener)),
        wake_(std::move(wake)),
        dispatcher_(store, clock, std::move(hooks), counters_) {}

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    const uint64_t one = 1;
    (void)!write(wake_.get(), &one, sizeof(one));
    thread_.join();
    connections_.clear();
    listener_.reset();
  }
  const ServerCounters& counters() const { return counters_; }

 private:
  void run();
  void accept_some();
  void accept_one(UniqueFd fd);
  bool has_room_for(const Peer& peer) const;
  void serve(Connection& connection, short events);
  void receive(Connection& connection);
  void send(Connection& connection);
  void note_progress(Connection& connection);
  bool timed_out(const Connection& connection, uint64_t now_ms) const;
  short wanted_events(const Connection& connection) const;

  const ServerOptions options_;
  const Clock& clock_;
  std::optional<Listener> listener_;
  UniqueFd wake_;
  ServerCounters counters_;
  Dispatcher dispatcher_;
  std::list<Connection> connections_;
  bool accept_paused_ = false;  // out of descriptors: look again at the next tick
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

short ControlServer::Loop::wanted_events(const Connection& connection) const {
  const Session& session = connection.session;
  int events = 0;
  if (!session.output().empty()) events |= POLLOUT;
  if (session.room_bytes() != 0 && session.output().empty()) events |= POLLIN;
  return static_cast<short>(events);
}

void ControlServer::Loop::run() {
  std::vector<pollfd> polled;
  bool more = false;  // a connection has another complete line already
  while (!stopping_) {
    polled.clear();
    polled.push_back({wake_.get(), POLLIN, 0});
    polled.push_back({accept_paused_ ? -1 : listener_->fd(), POLLIN, 0});
    for (const Connection& connection : connections_)
      polled.push_back({connection.fd.get(), wanted_events(connection), 0});
    const bool tick = accept_paused_ || !connections_.empty();
    if (poll(polled.data(), polled.size(), more ? 0 : tick ? kTickMs : -1) < 0 && errno != EINTR)
      break;  // cannot happen: bad arguments only
    accept_paused_ = false;
    const uint64_t now_ms = clock_.now_ms();
    more = false;
    size_t i = 2;
    for (auto at = connections_.begin(); at != connections_.end(); ++i) {
      Connection& connection = *at;
      serve(connection, polled[i].revents);
      const bool late = timed_out(connection, now_ms);
      if (late) ++counters_.connections_timed_out;
      const bool idle = connection.session.output().empty();
      if (late || connection.broken || connection.session.finished()) {
        at = connections_.erase(at);
        continue;
      }
      more = more || (idle && connection.session.room_bytes() == 0);
      ++at;
    }
    if ((polled[1].revents & POLLIN) != 0) accept_some();
  }
}

void ControlServer::Loop::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    UniqueFd fd(accept4(listener_->fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      accept_one(std::move(fd));
    } else {
      accept_paused_ = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
      return;
    }
  }
}

void ControlServer::Loop::accept_one(UniqueFd fd) {
  ++counters_.connections;
  const auto peer = listener_->identify(fd.get());
  if (!peer || !has_room_for(*peer)) {
    ++counters_.connections_refused;
    const std::string line = Dispatcher::refusal(
        peer ? "no-space" : "os",
        peer ? "too many connections to the control socket: try again" : peer.error().message);
    (void)::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    dispatcher_.log().line("a connection was refused: too many");
    return;
  }
  connections_.push_back({std::move(fd), peer->may_change,
                          Session(dispatcher_, counters_, *peer, options_.line_bytes_max),
                          clock_.now_ms(), 0, false});
}

bool ControlServer::Loop::has_room_for(const Peer& peer) const {
  const auto readers = std::count_if(connections_.begin(), connections_.end(),
                                     [](const Connection& one) { return !one.may_change; });
  return connections_.size() < options_.connections_max &&
         (peer.may_change || static_cast<size_t>(readers) < options_.readers_max);
}

void ControlServer::Loop::serve(Connection& connection, short events) {
  if ((events & (POLLIN | POLLHUP)) != 0 && connection.session.room_bytes() != 0 &&
      connection.session.output().empty())
    receive(connection);
  if ((events & (POLLERR | POLLNVAL)) != 0) connection.broken = true;
  send(connection);
  for (int i = 0; i < kRequestsPerTurn && !connection.broken && connection.session.advance(); ++i)
    send(connection);
  note_progress(connection);
}

void ControlServer::Loop::receive(Connection& connection) {
  std::array<char, 16384> chunk;
  const size_t room = std::min(chunk.size(), connection.session.room_bytes());
  const ssize_t got = recv(connection.fd.get(), chunk.data(), room, 0);
  if (got > 0)
    connection.session.receive({chunk.data(), static_cast<size_t>(got)});
  else if (got == 0)
    connection.session.receive_end();
  else if (errno != EAGAIN && errno != EINTR)
    connection.broken = true;
}

void ControlServer::Loop::send(Connection& connection) {
  while (!connection.session.output().empty()) {
    const std::string_view output = connection.session.output();
    const ssize_t sent =
        ::send(connection.fd.get(), output.data(), output.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno != EAGAIN && errno != EINTR) connection.broken = true;
      return;
    }
    connection.session.output_sent(static_cast<size_t>(sent));
    if (connection.session.output().empty()) {
      connection.progress_ms = clock_.now_ms();
      connection.mid_request_ms = 0;
    }
  }
}

void ControlServer::Loop::note_progress(Connection& connection) {
  if (!connection.session.mid_request())
    connection.mid_request_ms = 0;
  else if (connection.mid_request_ms == 0)
    connection.mid_request_ms = clock_.now_ms();
}

bool ControlServer::Loop::timed_out(const Connection& connection, uint64_t now_ms) const {
  const auto over = [now_ms](uint64_t since_ms, uint64_t limit_ms) {
    return now_ms > since_ms && now_ms - since_ms > limit_ms;
  };
  if (connection.mid_request_ms != 0)
    return over(connection.mid_request_ms, options_.stall_timeout_ms);
  return over(connection.progress_ms, options_.idle_timeout_ms);
}

Result<std::unique_ptr<ControlServer>> ControlServer::create(const ServerOptions& options,
                                                             store::Store& store,
                                                             const Clock& clock, Hooks hooks) {
  TMEM_TRY(Listener listener, Listener::create(options.socket_path, options.mode, options.group));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_os("cannot create an eventfd");
  auto loop = std::make_unique<Loop>(options, store, clock, std::move(hooks), std::move(listener),
                                     std::move(wake));
  try {
    loop->start();
  } catch (const std::exception& error) {
    return fail(Errc::kOs, std::string("cannot start the control thread: ") + error.what());
  }
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(loop)));
}

ControlServer::ControlServer(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

ControlServer::~ControlServer() {
  stop();
}

void ControlServer::stop() {
  loop_->stop();
}

const ServerCounters& ControlServer::counters() const {
  return loop_->counters();
}

}  // namespace tmem::control
