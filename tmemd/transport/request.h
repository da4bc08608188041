// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's request, before and after it was checked.
//
// RawRequest is a private copy of 64 bytes that a guest wrote: nothing in it may be trusted. The
// members of Request hold values that were checked; decode() is the only way to make them, so code
// that runs a request it did not check does not compile.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>

#include "tmem/abi.h"
#include "tmemd/store/types.h"

namespace tmem::transport {

struct RawRequest {
  tmem_request wire{};
};

// What a request is checked against.
struct QueueShape {
  uint32_t number = 0;   // this queue
  uint32_t queues = 1;   // of the connection
  uint32_t slots = 0;    // of this queue
  bool credits = false;  // puts may be paid with credits
};

// Proof that a slot number is below the queue's slots.
class SlotIndex {
 public:
  uint32_t value() const { return value_; }

 private:
  friend class Decoder;
  explicit SlotIndex(uint32_t value) : value_(value) {}
  uint32_t value_;
};

// Proof that a pool id is below TMEM_POOLS_MAX.
class CheckedPool {
 public:
  PoolId id() const { return id_; }

 private:
  friend class Decoder;
  explicit CheckedPool(uint32_t id) : id_(PoolId{id}) {}
  PoolId id_;
};

// Proof that the pool id is in range and the key belongs to this queue.
class CheckedKey {
 public:
  const store::Key& key() const { return key_; }

 private:
  friend class Decoder;
  explicit CheckedKey(const store::Key& key) : key_(key) {}
  store::Key key_;
};

struct PoolCreate {
  CheckedPool pool;
  store::PoolSpec spec;
};
struct PoolDestroy {
  CheckedPool pool;
};
struct PoolFlush {
  CheckedPool pool;
};
struct Put {
  CheckedKey key;
  SlotIndex slot;
  store::Payment payment;  // what the guest says; whether it had a credit is not checked yet
};
struct Get {
  CheckedKey key;
  SlotIndex slot;
};
struct FlushPage {
  CheckedKey key;
};
struct FlushObject {
  CheckedKey key;
};
struct Nop {};

using Request =
    std::variant<Nop, PoolCreate, PoolDestroy, PoolFlush, Put, Get, FlushPage, FlushObject>;

// Why a request is answered TMEM_BAD_REQUEST. Each has a counter.
enum class Refusal : uint8_t {
  kUnknownOp,
  kReservedNotZero,  // a reserved or unused field is set
  kPoolOutOfRange,
  kPoolFlags,         // unknown, or shared and persistent together
  kSlotOutOfRange,    // or a slot where none belongs
  kWrongQueue,        // the key belongs to another queue
  kPoolOpWrongQueue,  // pool create, destroy and flush come on queue 0
  kCredit,            // a put paid with a credit that the guest has not, or to an ephemeral pool
  kCount,
};
inline constexpr size_t kRefusals = static_cast<size_t>(Refusal::kCount);

std::string_view to_string(Refusal refusal);

using Decoded = tl::expected<Request, Refusal>;

// Never fails otherwise than by a Refusal, whatever the bytes.
Decoded decode(const RawRequest& raw, const QueueShape& shape);

}  // namespace tmem::transport
