// SPDX-License-Identifier: GPL-2.0-or-later
// A store with two clients, a control server in front of it, and a peer that can misbehave.
#pragma once
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "libtmem/base/clock.h"
#include "libtmem/base/unique_fd.h"
#include "tmem/control.hpp"
#include "tmemd/control/server.h"
#include "tmemd/memory/memfd.h"
#include "tmemd/store/store.h"

namespace tmem::test {

using nlohmann::json;

constexpr int kPatienceMs = 10'000;

// A directory of its own, open to all users, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
    (void)chmod(path_.c_str(), 0755);
  }
  ~TemporaryDirectory() {
    (void)unlink(file("control.sock").c_str());
    (void)rmdir(path_.c_str());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_ = "/tmp/tmem-control-test-XXXXXX";
};

// A store with clients "alpha" (10 ephemeral, 5 persistent pages) and "beta" (7 ephemeral).
struct StoreWorld {
  ManualClock clock;
  std::unique_ptr<memory::SlotProvider> provider =
      memory::create_memfd_provider({32 * kMiB, false}).value();
  std::unique_ptr<store::Store> store = make_store();
  store::Worker worker;
  store::ClientRef alpha = store->add_client({Uuid{1}, DomId{1}, "alpha"}, {}).value();
  store::ClientRef beta = store->add_client({Uuid{2}, DomId{2}, "beta"}, {}).value();

  StoreWorld() {
    const bool made =
        store->create_pool(*alpha, PoolId{0}, {}) == store::Status::kOk &&
        store->create_pool(*beta, PoolId{0}, {}) == store::Status::kOk &&
        store->create_pool(*alpha, PoolId{1}, {store::Kind::kPersistent, false, {}}) ==
            store::Status::kOk &&
        put(*alpha, 0, 10) && put(*alpha, 1, 5) && put(*beta, 0, 7);
    if (!made) std::abort();
  }

  bool put(store::Client& client, uint32_t pool, uint32_t pages) {
    std::array<std::byte, kPageBytes> page{};
    for (uint32_t i = 0; i < pages; ++i) {
      page[i] = page[100 + pool] = page[200 + store->number(client)] = std::byte{0x5a};
      if (store->put(worker, client, {PoolId{pool}, {{1, 2, 3}}, i}, page) != store::Status::kOk)
        return false;
    }
    return true;
  }

 private:
  std::unique_ptr<store::Store> make_store() {
    store::Options options;
    options.budget_bytes = 32 * kMiB;
    return store::Store::create(options, *provider, clock, 1).value();
  }
};

// A StoreWorld behind a socket.
struct ServerWorld : StoreWorld {
  TemporaryDirectory directory;
  std::string path = directory.file("control.sock");
  control::ServerOptions options = [this] {
    control::ServerOptions made;
    made.socket_path = path;
    made.mode = 0666;
    return made;
  }();
  std::atomic<int> shutdowns{0};
  std::atomic<uint32_t> disconnected{0};
  std::unique_ptr<control::ControlServer> server;

  void start() {
    control::Hooks hooks;
    hooks.request_shutdown = [this](bool force) -> Result<void> {
      shutdowns += force ? 100 : 1;
      return {};
    };
    hooks.transport_stats = [] { return json{{"rings", 3}}; };
    hooks.disconnect_client = [this](uint32_t number) -> Result<void> {
      disconnected = number;
      return fail(Errc::kNotFound, "it has no connection");
    };
    server = control::ControlServer::create(options, *store, clock, hooks).value();
  }
  control::Client connect() { return control::Client::connect({path, kPatienceMs}).value(); }
};

// Writes and reads whatever it is told.
class RawPeer {
 public:
  explicit RawPeer(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    connected_ =
        ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  bool connected() const { return connected_; }
  // False when the other end has closed.
  bool write(std::string_view text) {
    return send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
  }
  // Writes copies of `text` until no more fits; returns whole and part copies begun.
  size_t write_until_blocked(std::string_view text, size_t copies_max) {
    size_t copies = 0;
    while (copies < copies_max &&
           send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
      ++copies;
    return copies;
  }
  void end_writing() { (void)shutdown(fd_.get(), SHUT_WR); }
  // The next line, or "<closed>" or "<nothing>" (after kPatienceMs).
  std::string line() {
    while (true) {
      const size_t end = received_.find('\n');
      if (end != std::string::npos) {
        std::string found = received_.substr(0, end);
        received_.erase(0, end + 1);
        return found;
      }
      pollfd entry{fd_.get(), POLLIN, 0};
      if (poll(&entry, 1, kPatienceMs) != 1) return "<nothing>";
      std::array<char, 65536> chunk;
      const ssize_t got = recv(fd_.get(), chunk.data(), chunk.size(), 0);
      if (got <= 0) return "<closed>";
      received_.append(chunk.data(), static_cast<size_t>(got));
    }
  }
  json answer() { return json::parse(line(), nullptr, false); }

 private:
  UniqueFd fd_;
  bool connected_ = false;
  std::string received_;
};

}  // namespace tmem::test
