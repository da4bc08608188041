// SPDX-License-Identifier: GPL-2.0-or-later
// A daemon of its own for each test, its sockets in a temporary directory; and a raw peer that
// does what libtmem would never do.
#pragma once
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "libtmem/base/mapping.h"
#include "libtmem/base/ring_layout.h"
#include "libtmem/base/shared_word.h"
#include "libtmem/base/unique_fd.h"
#include "tests/unit/store_world.h"
#include "tmem/loopback.h"
#include "tmem/tmem.h"
#include "tmemd/daemon.h"

namespace tmem {

// Waits for `condition`, at most half a minute; false if it did not come.
inline bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (int looks = 0; !condition(); ++looks) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(looks < 100 ? 20 : 1'000));
  }
  return true;
}

class TempDir {
 public:
  TempDir() {
    std::string pattern = "/tmp/tmem-test-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    for (const char* name : {"/loopback.sock", "/control.sock"})
      (void)::unlink((path_ + name).c_str());
    (void)::rmdir(path_.c_str());
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct Disconnect {
  void operator()(tmem_client* client) const { tmem_disconnect(client); }
};
using ClientPtr = std::unique_ptr<tmem_client, Disconnect>;

struct ConnectOutcome {
  int error = 0;
  std::string reason;
  ClientPtr client;
};

inline ConnectOutcome connect_to(const std::string& socket, tmem_connect_options options = {}) {
  options.socket_path = socket.c_str();
  std::array<char, 200> reason{};
  tmem_client* client = nullptr;
  ConnectOutcome outcome;
  outcome.error = tmem_connect(&options, &client, reason.data(), reason.size());
  outcome.client.reset(client);
  outcome.reason = reason.data();
  return outcome;
}

struct DaemonWorld {
  explicit DaemonWorld(control::Config wanted = {}) : config(std::move(wanted)) {
    config.loopback.socket_path = dir.file("loopback.sock");
    config.control.socket_path = dir.file("control.sock");
    config.store.budget_bytes = 64 * kMiB;
    start();
  }
  DaemonWorld(const DaemonWorld&) = delete;
  DaemonWorld& operator=(const DaemonWorld&) = delete;

  void start() {
    auto started = Daemon::start(config, clock, [](LogKind, const std::string&) {});
    if (!started) FAIL(started.error().message);
    daemon = *std::move(started);
  }
  const std::string& socket() const { return config.loopback.socket_path; }
  ClientPtr connect(const tmem_connect_options& options = {}) const {
    ConnectOutcome outcome = connect_to(socket(), options);
    INFO(outcome.reason);
    REQUIRE(outcome.error == 0);
    REQUIRE(tmem_pool_create(outcome.client.get(), 0, 0, nullptr) == TMEM_OK);
    REQUIRE(tmem_pool_create(outcome.client.get(), 1, TMEM_POOL_PERSISTENT, nullptr) == TMEM_OK);
    return std::move(outcome.client);
  }
  transport::LoopbackCounters counters() const { return daemon->loopback().counters(); }
  uint64_t misbehaved(transport::CloseReason reason) const {
    return counters().misbehaved[static_cast<size_t>(reason)];
  }
  // Connected ones; those that left are out of the store too.
  bool clients_become(uint32_t count) const {
    return eventually([this, count] {
      return daemon->loopback().connections().size() == count &&
             daemon->store().all_client_stats().size() == count;
    });
  }

  TempDir dir;
  ManualClock clock;
  control::Config config;
  std::unique_ptr<Daemon> daemon;
};

// A put and a get of fresh bytes: does the daemon still serve this client?
inline bool still_served(tmem_client* client, uint64_t number) {
  const store::Page page = store::noise(number);
  store::Page back{};
  const tmem_key key{1, static_cast<uint32_t>(number), {number, 2, 3}};
  return tmem_put(client, &key, page.data()) == TMEM_OK &&
         tmem_get(client, &key, back.data()) == TMEM_OK && back == page;
}

inline tmem_loopback_hello good_hello(uint8_t uuid = 99) {
  tmem_loopback_hello hello{};
  hello.magic = TMEM_LOOPBACK_MAGIC;
  hello.version_min = TMEM_ABI_VERSION;
  hello.version_max = TMEM_ABI_VERSION;
  hello.queues = 2;
  hello.ring_order = 1;
  hello.slots = 8;
  hello.uuid[0] = uuid;
  std::memcpy(hello.name, "raw", 4);
  return hello;
}

// Speaks to the socket by hand and has the ring's memory to play with.
class RawPeer {
 public:
  explicit RawPeer(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                      sizeof(address)) == 0);
  }

  bool send(const void* bytes, size_t count) const {
    return ::send(socket_.get(), bytes, count, MSG_NOSIGNAL) == static_cast<ssize_t>(count);
  }

  // The welcome, or nothing when the daemon hung up.
  std::optional<tmem_loopback_welcome> receive() {
    tmem_loopback_welcome welcome{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 17)> control{};
    iovec body{&welcome, sizeof(welcome)};
    msghdr message{};
    message.msg_iov = &body;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC) != sizeof(welcome))
      return std::nullopt;
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr) {
      const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      std::array<int, 17> fds{};
      std::memcpy(fds.data(), CMSG_DATA(header), count * sizeof(int));
      for (size_t i = 0; i < count; ++i) fds_.emplace_back(fds[i]);
    }
    return welcome;
  }

  // A whole, correct handshake.
  void shake_hands(uint8_t uuid = 99) {
    const tmem_loopback_hello hello = good_hello(uuid);
    REQUIRE(send(&hello, sizeof(hello)));
    const auto welcome = receive();
    REQUIRE(welcome);
    REQUIRE(welcome->status == 0);
    REQUIRE(fds_.size() == 1 + 2 * size_t{welcome->queues});
    layout_ = RingLayout::of(welcome->ring_order, welcome->slots);
    auto memory = Mapping::shared(fds_[0].get(), layout_.bytes * welcome->queues);
    REQUIRE(memory);
    memory_ = *std::move(memory);
  }

  std::span<std::byte> memory() const { return memory_.bytes(); }
  tmem_control_page& control(uint32_t queue) const {
    return *reinterpret_cast<tmem_control_page*>(memory().data() + queue * layout_.bytes);
  }
  const RingLayout& layout() const { return layout_; }
  int memfd() const { return fds_[0].get(); }
  int doorbell(uint32_t queue) const { return fds_[1 + 2 * size_t{queue}].get(); }
  int wake(uint32_t queue) const { return fds_[2 + 2 * size_t{queue}].get(); }
  void kick(uint32_t queue) const { (void)eventfd_write(doorbell(queue), 1); }
  int socket() const { return socket_.get(); }

  // True once the daemon hung up.
  bool hung_up() const {
    return eventually([this] {
      pollfd fd{socket_.get(), POLLIN, 0};
      std::byte byte{};
      return ::poll(&fd, 1, 0) == 1 && ::recv(socket_.get(), &byte, 1, MSG_DONTWAIT) <= 0 &&
             errno != EAGAIN;
    });
  }

 private:
  UniqueFd socket_;
  std::vector<UniqueFd> fds_;
  Mapping memory_;
  RingLayout layout_;
};

}  // namespace tmem
