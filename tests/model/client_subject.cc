// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/model/client_subject.h"

#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "libtmem/base/clock.h"
#include "tmem/tmem.h"
#include "tmemd/transport/loopback/server.h"
#include "tmemd/transport/workers.h"

namespace tmem::model {
namespace {

using store::Status;

class TempDir {
 public:
  TempDir() {
    std::string pattern = "/tmp/tmem-model-XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() { (void)rmdir(path_.c_str()); }
  std::string socket() const { return path_ + "/loopback.sock"; }

 private:
  std::string path_;
};

struct Disconnect {
  void operator()(tmem_client* client) const { tmem_disconnect(client); }
};

Status status_of(int answer) {
  return answer < 0 || answer > TMEM_BAD_REQUEST ? Status::kBadRequest
                                                 : static_cast<Status>(answer);
}

uint8_t wire_op(OpKind kind) {
  switch (kind) {
    case OpKind::kPut:
      return TMEM_OP_PUT;
    case OpKind::kGet:
      return TMEM_OP_GET;
    case OpKind::kFlushPage:
      return TMEM_OP_FLUSH_PAGE;
    default:
      return TMEM_OP_FLUSH_OBJECT;
  }
}

bool is_pool_op(OpKind kind) {
  return kind == OpKind::kCreatePool || kind == OpKind::kDestroyPool || kind == OpKind::kFlushPool;
}

bool is_stale(OpKind kind) {
  return kind == OpKind::kStaleGet || kind == OpKind::kStalePut || kind == OpKind::kStaleFlush;
}

class ClientSubject final : public Subject {
 public:
  ClientSubject(store::Store& store, const Contents& contents, uint32_t queues)
      : store_(store), contents_(contents), queues_(queues) {}

  Result<void> start() {
    TMEM_TRY(workers_,
             transport::Workers::start({.threads = 2, .may_spin = true, .on_no_space = {}}));
    transport::LoopbackOptions options;
    options.socket_path = dir_.socket();
    options.settings_for = [](const store::ClientIdentity&) { return store::ClientSettings{}; };
    options.log = [](const std::string&) {};
    options.on_client_gone = [] {};
    TMEM_TRY(server_,
             transport::LoopbackServer::start(std::move(options), store_, *workers_, clock_));
    return {};
  }

  Result<store::ClientRef> connect(uint32_t client, const store::ClientIdentity& identity,
                                   const store::ClientSettings& settings) override {
    const std::string socket = dir_.socket();
    tmem_connect_options options{};
    options.socket_path = socket.c_str();
    options.name = identity.name.c_str();
    options.queues = queues_;
    options.ring_order = 1;  // small: it wraps often
    options.slots = 16;
    std::memcpy(options.uuid, identity.uuid.data(), identity.uuid.size());
    std::array<char, 200> reason{};
    tmem_client* raw = nullptr;
    const int error = tmem_connect(&options, &raw, reason.data(), reason.size());
    if (error != 0) return fail_os(std::string("tmem_connect: ") + reason.data(), -error);
    std::unique_ptr<tmem_client, Disconnect> connection(raw);
    store::ClientRef ref = store_.find_client(tmem_client_number(raw));
    if (!ref) return fail(Errc::kNotFound, "the store does not know the client");
    if (auto done = store_.configure(*ref, settings); !done) {
      connection.reset();
      wait_until_gone(store_.number(*ref));
      return tl::make_unexpected(done.error());
    }
    connections_[client] = std::move(connection);
    return ref;
  }

  void disconnect(uint32_t client) override {
    const uint32_t number = tmem_client_number(connections_[client].get());
    connections_[client].reset();
    wait_until_gone(number);
  }

  bool removes_later() const override { return true; }

  // One batch for each row of operations of one client: members of a shared pool take turns.
  void run(std::span<const Operation> ops, const Judge& judge) override {
    while (!ops.empty()) {
      size_t count = 1;
      while (!is_pool_op(ops[0].kind) && count < ops.size() && !is_pool_op(ops[count].kind) &&
             ops[count].client == ops[0].client)
        ++count;
      const auto row = ops.first(count);
      if (!(is_pool_op(row[0].kind) ? run_pool(row[0], judge) : run_batch(row, judge))) return;
      ops = ops.subspan(count);
    }
  }

 private:
  void wait_until_gone(uint32_t number) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (store_.find_client(number) != nullptr && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
  }

  bool run_pool(const Operation& op, const Judge& judge) {
    tmem_client* client = connections_[op.client].get();
    const auto pool = static_cast<uint32_t>(op.key.pool);
    const bool persistent = op.spec.kind == store::Kind::kPersistent;
    if (op.kind == OpKind::kCreatePool && persistent && op.spec.shared) return true;  // malformed
    if (client == nullptr) return judge(op, Status::kNoSuchPool, pages_[0]);
    int answer = 0;
    switch (op.kind) {
      case OpKind::kCreatePool:
        answer = tmem_pool_create(
            client, pool,
            (persistent ? TMEM_POOL_PERSISTENT : 0u) | (op.spec.shared ? TMEM_POOL_SHARED : 0u),
            op.spec.uuid.data());
        break;
      case OpKind::kDestroyPool:
        answer = tmem_pool_destroy(client, pool);
        break;
      default:
        answer = tmem_pool_flush(client, pool);
        break;
    }
    return judge(op, status_of(answer), pages_[0]);
  }

  bool run_batch(std::span<const Operation> ops, const Judge& judge) {
    tmem_client* client = connections_[ops[0].client].get();
    batch_.clear();
    if (pages_.size() < ops.size()) pages_.resize(ops.size());
    for (const Operation& op : ops) {
      if (is_stale(op.kind)) continue;  // libtmem always names the epoch it was told
      auto& page = pages_[batch_.size()];
      tmem_batch_op& wire = batch_.emplace_back();
      wire.op = wire_op(op.kind);
      wire.key.pool = static_cast<uint32_t>(op.key.pool);
      wire.key.index = op.key.index;
      std::memcpy(wire.key.oid, op.key.object.word.data(), sizeof wire.key.oid);
      wire.page = page.data();
      wire.status = TMEM_NO_SUCH_POOL;
      if (op.kind == OpKind::kPut) contents_.fill(op.content, page);
    }
    if (client != nullptr) (void)tmem_batch(client, batch_.data(), batch_.size());
    size_t answered = 0;
    for (const Operation& op : ops) {
      if (is_stale(op.kind)) continue;
      if (!judge(op, status_of(batch_[answered].status), pages_[answered])) return false;
      ++answered;
    }
    return true;
  }

  store::Store& store_;
  const Contents& contents_;
  const uint32_t queues_;
  const TempDir dir_;
  SteadyClock clock_;
  std::unique_ptr<transport::Workers> workers_;
  std::unique_ptr<transport::LoopbackServer> server_;
  std::array<std::unique_ptr<tmem_client, Disconnect>, kClientsMax> connections_;
  std::vector<tmem_batch_op> batch_;
  std::vector<std::array<std::byte, kPageBytes>> pages_{1};
};

}  // namespace

std::unique_ptr<Subject> make_client_subject(store::Store& store, const Contents& contents,
                                             const Shape& shape) {
  auto subject = std::make_unique<ClientSubject>(store, contents, shape.queues);
  if (!subject->start()) return nullptr;
  return subject;
}

}  // namespace tmem::model
