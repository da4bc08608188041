// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/request.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace tmem::transport {
namespace {

tl::unexpected<Refusal> refuse(Refusal refusal) {
  return tl::make_unexpected(refusal);
}

}  // namespace

class Decoder {
 public:
  Decoder(const tmem_request& wire, const QueueShape& shape) : wire_(wire), shape_(shape) {}

  Decoded run() const {
    if (wire_.reserved0 != 0 || (wire_.flags & ~flags_allowed()) != 0 || wire_.reserved2 != 0)
      return refuse(Refusal::kReservedNotZero);
    switch (wire_.op) {
      case TMEM_OP_NOP:
        return nop();
      case TMEM_OP_POOL_CREATE:
        return pool_create();
      case TMEM_OP_POOL_DESTROY:
        return pool_op<PoolDestroy>();
      case TMEM_OP_POOL_FLUSH:
        return pool_op<PoolFlush>();
      case TMEM_OP_PUT:
        return put();
      case TMEM_OP_GET:
        return get();
      case TMEM_OP_FLUSH_PAGE:
        return flush<FlushPage>();
      case TMEM_OP_FLUSH_OBJECT:
        return flush<FlushObject>();
      default:
        return refuse(Refusal::kUnknownOp);
    }
  }

 private:
  Decoded nop() const {
    if (wire_.pool != 0 || !page_arm_is_empty()) return refuse(Refusal::kReservedNotZero);
    return Nop{};
  }

  Decoded pool_create() const {
    if (shape_.number != 0) return refuse(Refusal::kPoolOpWrongQueue);
    if (!pool_in_range()) return refuse(Refusal::kPoolOutOfRange);
    const auto& create = wire_.u.create;
    const uint32_t known = TMEM_POOL_PERSISTENT | TMEM_POOL_SHARED;
    if ((create.flags & ~known) != 0 || create.flags == known) return refuse(Refusal::kPoolFlags);
    if (create.reserved[0] != 0 || create.reserved[1] != 0 || create.reserved[2] != 0)
      return refuse(Refusal::kReservedNotZero);
    store::PoolSpec spec;
    spec.kind = (create.flags & TMEM_POOL_PERSISTENT) != 0 ? store::Kind::kPersistent
                                                           : store::Kind::kEphemeral;
    spec.shared = (create.flags & TMEM_POOL_SHARED) != 0;
    std::copy(std::begin(create.uuid), std::end(create.uuid), spec.uuid.begin());
    if (!spec.shared && spec.uuid != Uuid{}) return refuse(Refusal::kReservedNotZero);
    return PoolCreate{CheckedPool(wire_.pool), spec};
  }

  template <class Op>
  Decoded pool_op() const {
    if (shape_.number != 0) return refuse(Refusal::kPoolOpWrongQueue);
    if (!pool_in_range()) return refuse(Refusal::kPoolOutOfRange);
    if (!page_arm_is_empty()) return refuse(Refusal::kReservedNotZero);
    return Op{CheckedPool(wire_.pool)};
  }

  std::optional<Refusal> check_transfer() const {
    if (!pool_in_range()) return Refusal::kPoolOutOfRange;
    if (!on_its_queue()) return Refusal::kWrongQueue;
    if (wire_.u.page.slot >= shape_.slots) return Refusal::kSlotOutOfRange;
    return std::nullopt;
  }

  Decoded put() const {
    if (const auto refusal = check_transfer()) return refuse(*refusal);
    const bool paid = (wire_.flags & TMEM_REQUEST_CREDIT) != 0;
    return Put{key(), SlotIndex(wire_.u.page.slot),
               paid ? store::Payment::kCredit : store::Payment::kNone};
  }

  Decoded get() const {
    if (const auto refusal = check_transfer()) return refuse(*refusal);
    return Get{key(), SlotIndex(wire_.u.page.slot)};
  }

  template <class Op>
  Decoded flush() const {
    if (!pool_in_range()) return refuse(Refusal::kPoolOutOfRange);
    if (!on_its_queue()) return refuse(Refusal::kWrongQueue);
    if (wire_.u.page.slot != TMEM_NO_SLOT) return refuse(Refusal::kSlotOutOfRange);
    return Op{key()};
  }

  uint16_t flags_allowed() const {
    return wire_.op == TMEM_OP_PUT && shape_.credits ? TMEM_REQUEST_CREDIT : 0;
  }
  bool pool_in_range() const { return wire_.pool < TMEM_POOLS_MAX; }
  bool on_its_queue() const {
    return tmem_queue_of(wire_.pool, wire_.u.page.oid, shape_.queues) == shape_.number;
  }
  bool page_arm_is_empty() const {
    const auto& page = wire_.u.page;
    return page.oid[0] == 0 && page.oid[1] == 0 && page.oid[2] == 0 && page.index == 0 &&
           page.slot == TMEM_NO_SLOT;
  }
  CheckedKey key() const {
    const auto& page = wire_.u.page;
    return CheckedKey({PoolId{wire_.pool}, {{page.oid[0], page.oid[1], page.oid[2]}}, page.index});
  }

  const tmem_request& wire_;
  const QueueShape& shape_;
};

Decoded decode(const RawRequest& raw, const QueueShape& shape) {
  return Decoder(raw.wire, shape).run();
}

std::string_view to_string(Refusal refusal) {
  static constexpr std::array<std::string_view, kRefusals> kNames = {
      "unknown-op",        "reserved-not-zero", "pool-out-of-range",   "pool-flags",
      "slot-out-of-range", "wrong-queue",       "pool-op-wrong-queue", "credit",
  };
  const auto index = static_cast<size_t>(refusal);
  return index < kNames.size() ? kNames[index] : "?";
}

}  // namespace tmem::transport
