// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <cstring>
#include <utility>

#include "tests/model/subject.h"

namespace tmem::model {
namespace {

using store::Status;

constexpr uint64_t kPoison = 0xdeadbeefcafef00du;
constexpr std::array<size_t, 4> kPoisoned = {0, 8, 2048, kPageBytes - 8};

class StoreSubject final : public Subject {
 public:
  StoreSubject(store::Store& store, const Contents& contents)
      : store_(store), contents_(contents) {}

  Result<store::ClientRef> connect(uint32_t client, const store::ClientIdentity& identity,
                                   const store::ClientSettings& settings) override {
    TMEM_TRY(store::ClientRef ref, store_.add_client(identity, settings));
    clients_[client] = ref;
    return ref;
  }
  // Keeps the reference: operations on it must answer kNoSuchPool.
  void disconnect(uint32_t client) override { store_.remove_client(*clients_[client]); }

  void run(std::span<const Operation> ops, const Judge& judge) override {
    for (const Operation& op : ops) {
      if (op.kind == OpKind::kStaleGet || op.kind == OpKind::kStalePut ||
          op.kind == OpKind::kStaleFlush)
        continue;  // only the ring knows epochs
      if (!judge(op, run_one(op), page_)) return;
    }
  }

 private:
  Status run_one(const Operation& op) {
    store::Client& client = *clients_[op.client];
    switch (op.kind) {
      case OpKind::kPut:
        contents_.fill(op.content, page_);
        return store_.put(worker_, client, op.key, page_);
      case OpKind::kGet:
        return get(client, op.key);
      case OpKind::kFlushPage:
        return store_.flush_page(worker_, client, op.key);
      case OpKind::kFlushObject:
        return store_.flush_object(client, op.key.pool, op.key.object);
      case OpKind::kFlushPool:
        return store_.flush_pool(client, op.key.pool);
      case OpKind::kCreatePool:
        return store_.create_pool(client, op.key.pool, op.spec);
      case OpKind::kDestroyPool:
        return store_.destroy_pool(client, op.key.pool);
      default:
        return Status::kBadRequest;
    }
  }

  // A miss must leave the caller's page alone: told as an answer that no one expects.
  Status get(store::Client& client, const store::Key& key) {
    for (const size_t at : kPoisoned) std::memcpy(&page_[at], &kPoison, sizeof kPoison);
    const Status status = store_.get(worker_, client, key, page_);
    if (status == Status::kOk) return status;
    for (const size_t at : kPoisoned)
      if (std::memcmp(&page_[at], &kPoison, sizeof kPoison) != 0) return Status::kBadRequest;
    return status;
  }

  store::Store& store_;
  const Contents& contents_;
  store::Worker worker_;
  std::array<store::ClientRef, kClientsMax> clients_;
  alignas(64) std::array<std::byte, kPageBytes> page_{};
};

}  // namespace

std::unique_ptr<Subject> make_store_subject(store::Store& store, const Contents& contents,
                                            const Shape& /*shape*/) {
  return std::make_unique<StoreSubject>(store, contents);
}

}  // namespace tmem::model
