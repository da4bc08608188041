// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/loopback/server.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "tmemd/transport/thread_signals.h"

namespace tmem::transport {
namespace {

constexpr uint64_t kListenerId = 0;
constexpr uint64_t kCommandId = 1;
constexpr uint64_t kFirstPeerId = 2;
constexpr int kEventsPerWait = 64;
constexpr int kHandshakePollMs = 100;  // only while a handshake is open or accepting is paused
constexpr uint64_t kAcceptPauseMs = 1'000;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return fail(Errc::kMalformed, "the loopback socket's path must have 1 to " +
                                      std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

LoopbackServer::LoopbackServer(LoopbackOptions options, store::Store& store, Workers& workers,
                               const Clock& clock)
    : options_(std::move(options)),
      store_(store),
      workers_(workers),
      clock_(clock),
      next_peer_(kFirstPeerId) {}

Result<std::unique_ptr<LoopbackServer>> LoopbackServer::start(LoopbackOptions options,
                                                              store::Store& store, Workers& workers,
                                                              const Clock& clock) {
  std::unique_ptr<LoopbackServer> server(
      new LoopbackServer(std::move(options), store, workers, clock));
  TMEM_CHECK(server->listen());
  try {
    server->thread_ = std::thread([raw = server.get()] { raw->loop(); });
  } catch (const std::system_error& error) {
    return fail(Errc::kOs, std::string("cannot start the loopback thread: ") + error.what());
  }
  (void)pthread_setname_np(server->thread_.native_handle(), "tmem-loopback");
  return server;
}

LoopbackServer::~LoopbackServer() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    (void)eventfd_write(command_event_.get(), 1);
    thread_.join();
  }
  if (bound_) (void)::unlink(options_.socket_path.c_str());
  while (!peers_.empty()) close_peer(peers_.begin()->first);
}

Result<void> LoopbackServer::listen() {
  TMEM_TRY(const sockaddr_un address, address_of(options_.socket_path));
  TMEM_CHECK(remove_stale_socket());
  listener_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  command_event_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!listener_ || !epoll_ || !command_event_)
    return fail_os("cannot create the loopback server's descriptors");
  if (::bind(listener_.get(), generic(address), sizeof(address)) != 0)
    return fail_os("cannot bind the loopback socket " + options_.socket_path);
  bound_ = true;
  if (::chmod(options_.socket_path.c_str(), options_.socket_mode) != 0)
    return fail_os("cannot set the mode of " + options_.socket_path);
  if (::listen(listener_.get(), SOMAXCONN) != 0)
    return fail_os("cannot listen on " + options_.socket_path);
  TMEM_CHECK(watch(listener_.get(), kListenerId));
  TMEM_CHECK(watch(command_event_.get(), kCommandId));
  return {};
}

Result<void> LoopbackServer::remove_stale_socket() {
  TMEM_TRY(const sockaddr_un address, address_of(options_.socket_path));
  const UniqueFd probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return fail_os("cannot create a socket");
  if (::connect(probe.get(), generic(address), sizeof(address)) == 0 || errno == EAGAIN)
    return fail(Errc::kConflict, "another process listens on " + options_.socket_path +
                                     ": stop that tmemd or choose another socket");
  struct stat status {};
  if (errno == ECONNREFUSED && ::lstat(options_.socket_path.c_str(), &status) == 0 &&
      S_ISSOCK(status.st_mode))
    (void)::unlink(options_.socket_path.c_str());
  return {};
}

Result<void> LoopbackServer::watch(int fd, PeerId id) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return fail_os("cannot watch a loopback descriptor");
  return {};
}

void LoopbackServer::loop() {
  block_signals_in_this_thread();
  while (true) {
    std::array<epoll_event, kEventsPerWait> events;
    const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerWait, timeout_ms());
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    for (int i = 0; i < count; ++i) handle_event(events[static_cast<size_t>(i)].data.u64);
    drop_late_peers();
  }
}

void LoopbackServer::handle_event(PeerId id) {
  if (id == kListenerId) return accept_all();
  if (id == kCommandId) return handle_close_requests();
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;  // closed earlier in this batch of events
  if (found->second.connection == nullptr) return read_hello(id, found->second);

  std::byte byte{};
  const ssize_t bytes = ::recv(found->second.socket.get(), &byte, 1, MSG_DONTWAIT);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (bytes > 0) {
    options_.log("client '" + found->second.connection->grant().name +
                 "' sent data after its handshake; disconnecting it");
    const std::lock_guard lock(mutex_);
    ++counters_.protocol_errors;
  }
  close_peer(id);
}

int LoopbackServer::timeout_ms() const {
  return handshakes_open_ > 0 || accept_again_ms_ != 0 ? kHandshakePollMs : -1;
}

void LoopbackServer::accept_all() {
  // Bounded: the rest is reported again, after other peers had their turn.
  for (int i = 0; i < kEventsPerWait; ++i) {
    UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        pause_accepting();
      return;
    }
    Peer peer;
    socklen_t length = sizeof(peer.credentials);
    (void)::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer.credentials, &length);
    peer.deadline_ms = clock_.now_ms() + options_.handshake_timeout_ms;
    const bool full = peers_.size() >= options_.connections_max;
    const PeerId id = next_peer_++;
    if (!full && !watch(socket.get(), id)) return pause_accepting();
    const std::lock_guard lock(mutex_);
    ++counters_.accepted;
    if (full) {
      ++counters_.turned_away;
      continue;
    }
    peer.socket = std::move(socket);
    peers_.emplace(id, std::move(peer));
    ++handshakes_open_;
  }
}

// Out of descriptors or memory: look again in a second instead of spinning on the listener.
void LoopbackServer::pause_accepting() {
  options_.log("the loopback socket cannot accept now: out of file descriptors or memory");
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr);
  accept_again_ms_ = clock_.now_ms() + kAcceptPauseMs;
}

void LoopbackServer::drop_late_peers() {
  const uint64_t now_ms = clock_.now_ms();
  if (accept_again_ms_ != 0 && now_ms >= accept_again_ms_ && watch(listener_.get(), kListenerId))
    accept_again_ms_ = 0;
  if (handshakes_open_ == 0) return;
  std::vector<PeerId> late;
  for (const auto& [id, peer] : peers_)
    if (peer.connection == nullptr && now_ms >= peer.deadline_ms) late.push_back(id);
  for (const PeerId id : late) {
    {
      const std::lock_guard lock(mutex_);
      ++counters_.handshakes_late;
    }
    close_peer(id);
  }
}

void LoopbackServer::handle_close_requests() {
  eventfd_t ignored = 0;
  (void)eventfd_read(command_event_.get(), &ignored);
  std::vector<CloseRequest> requests;
  {
    const std::lock_guard lock(mutex_);
    requests.swap(close_requests_);
  }
  for (const CloseRequest& request : requests) {
    const auto found = peers_.find(request.peer);
    if (found == peers_.end() || found->second.connection == nullptr) continue;
    if (request.reason != CloseReason::kDetached)
      options_.log("client '" + found->second.connection->grant().name +
                   "' is disconnected: " + std::string(to_string(request.reason)));
    {
      const std::lock_guard lock(mutex_);
      ++counters_.misbehaved[static_cast<size_t>(request.reason)];
    }
    close_peer(request.peer);
  }
}

// Detaching waits for the workers' current turns, so it happens outside the lock.
void LoopbackServer::close_peer(PeerId id) {
  std::map<PeerId, Peer>::node_type node;
  {
    const std::lock_guard lock(mutex_);
    node = peers_.extract(id);
    if (node.empty()) return;
    if (node.mapped().connection != nullptr) counters_.totals += node.mapped().connection->totals();
  }
  const bool was_connected = node.mapped().connection != nullptr;
  if (!was_connected) --handshakes_open_;
  node = {};
  if (was_connected && options_.on_client_gone) options_.on_client_gone();
}

void LoopbackServer::request_close(PeerId id, CloseReason reason) {
  const std::lock_guard lock(mutex_);
  close_requests_.push_back({id, reason});
  (void)eventfd_write(command_event_.get(), 1);
}

bool LoopbackServer::disconnect(uint32_t client) {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, peer] : peers_) {
    if (peer.connection == nullptr || store_.number(*peer.connection->client()) != client) continue;
    ++counters_.administrator;
    close_requests_.push_back({id, CloseReason::kDetached});
    (void)eventfd_write(command_event_.get(), 1);
    return true;
  }
  return false;
}

uint64_t LoopbackServer::memory_in_use_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [id, peer] : peers_)
    if (peer.connection != nullptr) bytes += peer.connection->grant().memory_bytes;
  return bytes;
}

std::vector<ConnectionInfo> LoopbackServer::connections() const {
  std::vector<ConnectionInfo> infos;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, peer] : peers_) {
    if (peer.connection == nullptr) continue;
    const Grant& grant = peer.connection->grant();
    infos.push_back({store_.number(*peer.connection->client()), grant.name, peer.credentials,
                     grant.queues, grant.slots, grant.memory_bytes, peer.connection->totals()});
  }
  return infos;
}

LoopbackCounters LoopbackServer::counters() const {
  const std::lock_guard lock(mutex_);
  LoopbackCounters counters = counters_;
  for (const auto& [id, peer] : peers_)
    if (peer.connection != nullptr) counters.totals += peer.connection->totals();
  return counters;
}

}  // namespace tmem::transport
