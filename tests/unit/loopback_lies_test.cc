// SPDX-License-Identifier: GPL-2.0-or-later
// libtmem against a daemon that lies: the connection ends, and nothing else.
#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <future>

#include "tests/unit/loopback_world.h"

namespace tmem {
namespace {

using store::Page;

// What a fake daemon does wrong.
enum class Lie { kSilent, kFutureCounter, kUnknownId, kUnknownStatus, kFewFds, kNoSeal, kHangUp };

class FakeDaemon {
 public:
  FakeDaemon(const std::string& path, Lie lie) : lie_(lie) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
            0);
    REQUIRE(::listen(listener_.get(), 1) == 0);
    served_ = std::async(std::launch::async, [this] { serve(); });
  }
  FakeDaemon(const FakeDaemon&) = delete;
  FakeDaemon& operator=(const FakeDaemon&) = delete;
  ~FakeDaemon() {
    stop_ = true;
    served_.wait();
  }

 private:
  void serve() {
    const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    tmem_loopback_hello hello{};
    (void)::recv(peer.get(), &hello, sizeof(hello), 0);
    const RingLayout layout = RingLayout::of(1, 8);
    const UniqueFd memfd(memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (ftruncate(memfd.get(), static_cast<off_t>(layout.bytes)) != 0) return;
    if (lie_ != Lie::kNoSeal) (void)fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK);
    auto memory = Mapping::shared(memfd.get(), layout.bytes);
    if (!memory) return;
    const UniqueFd doorbell(eventfd(0, EFD_CLOEXEC));
    send_welcome(peer.get(), {memfd.get(), doorbell.get(), doorbell.get()});
    if (lie_ == Lie::kHangUp) return;
    auto& control = *reinterpret_cast<tmem_control_page*>(memory->bytes().data());
    auto& response =
        *reinterpret_cast<tmem_response*>(memory->bytes().data() + layout.responses_offset_bytes);
    const auto& request = *reinterpret_cast<const tmem_request*>(memory->bytes().data() +
                                                                 layout.requests_offset_bytes);
    while (!stop_ && load_acquire(control.req_prod) == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    response.id = lie_ == Lie::kUnknownId ? 4711 : request.id;
    response.status = lie_ == Lie::kUnknownStatus ? 999 : 0;
    if (lie_ == Lie::kFutureCounter) store_full(control.rsp_prod, 5u);
    if (lie_ == Lie::kUnknownId || lie_ == Lie::kUnknownStatus) store_full(control.rsp_prod, 1u);
    (void)eventfd_write(doorbell.get(), 1);
    while (!stop_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  void send_welcome(int peer, std::array<int, 3> fds) const {
    tmem_loopback_welcome welcome{};
    welcome.magic = TMEM_LOOPBACK_MAGIC;
    welcome.version = TMEM_ABI_VERSION;
    welcome.queues = 1;
    welcome.ring_order = 1;
    welcome.slots = 8;
    const size_t count = lie_ == Lie::kFewFds ? 2 : 3;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 3)> control{};
    iovec body{&welcome, sizeof(welcome)};
    msghdr message{};
    message.msg_iov = &body;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * count);
    (void)::sendmsg(peer, &message, MSG_NOSIGNAL);
  }

  const Lie lie_;
  UniqueFd listener_;
  std::atomic<bool> stop_{false};
  std::future<void> served_;
};

struct FakeOutcome {
  int connect = 0;
  int first = 0;
  int second = 0;
};

FakeOutcome talk_to_fake(Lie lie) {
  const TempDir dir;
  const std::string path = dir.file("loopback.sock");
  const FakeDaemon fake(path, lie);
  tmem_connect_options options{};
  options.timeout_ms = 200;
  const ConnectOutcome outcome = connect_to(path, options);
  FakeOutcome result;
  result.connect = outcome.error;
  if (outcome.error != 0) return result;
  Page page{};
  const tmem_key key{0, 0, {0, 0, 0}};
  result.first = tmem_get(outcome.client.get(), &key, page.data());
  result.second = tmem_get(outcome.client.get(), &key, page.data());
  return result;
}

TEST_CASE("libtmem: a daemon that lies or falls silent ends the connection and nothing else") {
  const FakeOutcome silent = talk_to_fake(Lie::kSilent);
  CHECK(silent.connect == 0);
  CHECK(silent.first == -ETIMEDOUT);
  CHECK(silent.second == -ETIMEDOUT);
  for (const Lie lie : {Lie::kFutureCounter, Lie::kUnknownId, Lie::kUnknownStatus, Lie::kHangUp}) {
    INFO(static_cast<int>(lie));
    const FakeOutcome outcome = talk_to_fake(lie);
    CHECK(outcome.connect == 0);
    CHECK(outcome.first == -ENOTCONN);
    CHECK(outcome.second == -ENOTCONN);
  }
  CHECK(talk_to_fake(Lie::kFewFds).connect == -EPROTO);
  CHECK(talk_to_fake(Lie::kNoSeal).connect == -EPROTO);
}

}  // namespace
}  // namespace tmem
