// SPDX-License-Identifier: GPL-2.0-or-later
// The handshake's half of LoopbackServer: from a hello to a connection or a refusal.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>

#include "tmemd/transport/loopback/server.h"

namespace tmem::transport {
namespace {

void copy_reason(const std::string& reason, tmem_loopback_welcome* welcome) {
  const size_t bytes = std::min(reason.size(), sizeof(welcome->reason) - 1);
  std::memcpy(welcome->reason, reason.data(), bytes);
}

}  // namespace

void LoopbackServer::read_hello(PeerId id, Peer& peer) {
  std::array<std::byte, sizeof(tmem_loopback_hello)> message{};
  // No room for control data: descriptors that the peer sends are dropped by the kernel.
  const ssize_t bytes =
      ::recv(peer.socket.get(), message.data(), message.size(), MSG_DONTWAIT | MSG_TRUNC);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (bytes <= 0) return close_peer(id);
  if (static_cast<size_t>(bytes) > message.size())
    return refuse(id, peer, {EBADMSG, "the hello has a wrong length"});
  const auto grant =
      check_hello(std::span(message).first(static_cast<size_t>(bytes)), options_.limits);
  if (!grant) return refuse(id, peer, grant.error());
  connect_peer(id, peer, *grant);
}

void LoopbackServer::connect_peer(PeerId id, Peer& peer, const Grant& grant) {
  if (memory_in_use_bytes() + grant.memory_bytes > options_.memory_max_bytes)
    return refuse(id, peer, {ENOMEM, "all loopback memory is in use: ask for fewer slots"});
  const store::ClientIdentity identity{grant.uuid, DomId{static_cast<uint16_t>(id)}, grant.name};
  auto client = store_.add_client(identity, options_.settings_for(identity));
  if (!client)
    return refuse(
        id, peer,
        {client.error().code == Errc::kConflict ? EEXIST : ENOMEM, client.error().message});
  ConnectionOptions connection_options;
  connection_options.grant = grant;
  connection_options.bad_requests_max = options_.bad_requests_max;
  connection_options.on_closed = [this, id](CloseReason reason) { request_close(id, reason); };
  auto connection = Connection::open(connection_options, store_, *client, workers_);
  if (!connection) return refuse(id, peer, {ENOMEM, connection.error().message});
  {
    const std::lock_guard lock(mutex_);
    peer.connection = std::move(*connection);
    ++counters_.connected;
  }
  --handshakes_open_;
  const bool sent = send_welcome(peer);
  peer.connection->release_client_fds();
  if (!sent) close_peer(id);
}

void LoopbackServer::refuse(PeerId id, Peer& peer, const HandshakeRefusal& refusal) {
  {
    const std::lock_guard lock(mutex_);
    ++counters_.handshakes_refused;
  }
  tmem_loopback_welcome welcome{};
  welcome.magic = TMEM_LOOPBACK_MAGIC;
  welcome.status = static_cast<uint32_t>(refusal.os_errno);
  copy_reason(refusal.reason, &welcome);
  (void)::send(peer.socket.get(), &welcome, sizeof(welcome), MSG_DONTWAIT | MSG_NOSIGNAL);
  options_.log("a loopback client (pid " + std::to_string(peer.credentials.pid) +
               ") is refused: " + refusal.reason);
  close_peer(id);
}

bool LoopbackServer::send_welcome(const Peer& peer) const {
  const Grant& grant = peer.connection->grant();
  tmem_loopback_welcome welcome{};
  welcome.magic = TMEM_LOOPBACK_MAGIC;
  welcome.version = grant.version;
  welcome.queues = grant.queues;
  welcome.ring_order = grant.ring_order;
  welcome.slots = grant.slots;
  welcome.features = grant.features;
  welcome.store_epoch = store::Store::epoch(*peer.connection->client());
  welcome.client = store_.number(*peer.connection->client());

  const std::vector<int> fds = peer.connection->client_fds();
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * (1 + 2 * TMEM_QUEUES_MAX))> control{};
  iovec body{&welcome, sizeof(welcome)};
  msghdr message{};
  message.msg_iov = &body;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
  std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  return ::sendmsg(peer.socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(sizeof(welcome));
}

}  // namespace tmem::transport
