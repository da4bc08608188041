// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libtmem/src/session.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "tmem/loopback.h"

namespace tmem::client {
namespace {

constexpr size_t kFdsMax = 1 + 2 * TMEM_QUEUES_MAX;
constexpr uint32_t kErrnoMax = 4095;

tl::unexpected<ConnectError> refuse(int os_errno, std::string reason) {
  return tl::make_unexpected(ConnectError{os_errno, std::move(reason)});
}

tl::unexpected<ConnectError> refuse_os(const std::string& what) {
  const int error = errno;
  return refuse(error, what + ": " + std::strerror(error));
}

tl::expected<UniqueFd, ConnectError> connect_socket(const SessionOptions& options) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options.socket_path.empty() || options.socket_path.size() >= sizeof(address.sun_path))
    return refuse(EINVAL, "the socket path must have 1 to 107 bytes");
  std::memcpy(address.sun_path, options.socket_path.data(), options.socket_path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return refuse_os("cannot create a socket");
  const timeval timeout{static_cast<time_t>(options.timeout_ms / 1000),
                        static_cast<suseconds_t>(options.timeout_ms % 1000 * 1000)};
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0)
    return refuse_os("cannot set the socket's timeout");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return refuse_os("cannot connect to " + options.socket_path + " (is tmemd running?)");
  return socket;
}

struct Welcome {
  tmem_loopback_welcome message{};
  std::vector<UniqueFd> fds;
};

tl::expected<Welcome, ConnectError> receive_welcome(int socket) {
  Welcome welcome;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFdsMax)> control{};
  iovec body{&welcome.message, sizeof(welcome.message)};
  msghdr message{};
  message.msg_iov = &body;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t bytes = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (bytes < 0 && errno == EAGAIN) return refuse(ETIMEDOUT, "tmemd did not answer in time");
  if (bytes < 0) return refuse_os("cannot read tmemd's answer");
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::array<int, kFdsMax> fds{};
    std::memcpy(fds.data(), CMSG_DATA(header), std::min(count, kFdsMax) * sizeof(int));
    for (size_t i = 0; i < std::min(count, kFdsMax); ++i) welcome.fds.emplace_back(fds[i]);
  }
  if (bytes == 0) return refuse(ECONNREFUSED, "tmemd turned the connection away (too many?)");
  if (bytes != sizeof(welcome.message) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
      welcome.message.magic != TMEM_LOOPBACK_MAGIC)
    return refuse(EPROTO, "what answers on the socket is not tmemd");
  return welcome;
}

tl::expected<void, ConnectError> check_welcome(const Welcome& welcome,
                                               const SessionOptions& options) {
  const tmem_loopback_welcome& message = welcome.message;
  if (message.status != 0) {
    const auto* end = std::find(std::begin(message.reason), std::end(message.reason), '\0');
    const auto status = static_cast<int>(std::min(message.status, kErrnoMax));
    return refuse(status, std::string(std::begin(message.reason), end));
  }
  if (message.version != TMEM_ABI_VERSION)
    return refuse(EPROTONOSUPPORT, "tmemd chose another ABI version than this libtmem's");
  if (message.queues < 1 || message.queues > TMEM_QUEUES_MAX ||
      (options.queues != 0 && message.queues > options.queues) ||
      !RingLayout::is_valid(message.ring_order, message.slots) ||
      welcome.fds.size() != 1 + 2 * size_t{message.queues})
    return refuse(EPROTO, "tmemd's answer contradicts itself");
  return {};
}

}  // namespace

tl::expected<Session, ConnectError> open_session(const SessionOptions& options) {
  auto socket = connect_socket(options);
  if (!socket) return tl::make_unexpected(socket.error());

  tmem_loopback_hello hello{};
  hello.magic = TMEM_LOOPBACK_MAGIC;
  hello.version_min = TMEM_ABI_VERSION;
  hello.version_max = TMEM_ABI_VERSION;
  hello.queues = options.queues;
  hello.ring_order = options.ring_order;
  hello.slots = options.slots;
  std::copy(options.uuid.begin(), options.uuid.end(), std::begin(hello.uuid));
  const size_t name_bytes = std::min(options.name.size(), sizeof(hello.name) - 1);
  std::memcpy(hello.name, options.name.data(), name_bytes);
  if (::send(socket->get(), &hello, sizeof(hello), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(sizeof(hello)))
    return refuse_os("cannot send to tmemd");

  auto welcome = receive_welcome(socket->get());
  if (!welcome) return tl::make_unexpected(welcome.error());
  if (auto checked = check_welcome(*welcome, options); !checked)
    return tl::make_unexpected(checked.error());

  Session session;
  session.layout = RingLayout::of(welcome->message.ring_order, welcome->message.slots);
  session.store_epoch = welcome->message.store_epoch;
  session.client_number = welcome->message.client;
  const int memfd = welcome->fds[0].get();
  const size_t bytes = session.layout.bytes * welcome->message.queues;
  // Without the seal a shrinking file would turn an access into SIGBUS.
  const int seals = ::fcntl(memfd, F_GET_SEALS);
  struct stat status {};
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(memfd, &status) != 0 ||
      static_cast<size_t>(status.st_size) < bytes)
    return refuse(EPROTO, "tmemd sent shared memory that is too small or not sealed");
  auto memory = Mapping::shared(memfd, bytes);
  if (!memory) return refuse(ENOMEM, memory.error().message);
  session.memory = *std::move(memory);
  for (uint32_t i = 0; i < welcome->message.queues; ++i)
    session.ends.push_back(
        {std::move(welcome->fds[1 + 2 * size_t{i}]), std::move(welcome->fds[2 + 2 * size_t{i}])});
  session.socket = *std::move(socket);
  return session;
}

}  // namespace tmem::client
