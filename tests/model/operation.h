// SPDX-License-Identifier: GPL-2.0-or-later
// One step of a random stream: an operation of a client, or of the administrator, or of time.
#pragma once
#include <cstdint>
#include <string>

#include "tests/model/contents.h"
#include "tmemd/store/types.h"

namespace tmem::model {

inline constexpr uint32_t kClientsMax = 4;
inline constexpr uint32_t kPrivatePools = 6;  // pool ids 0 .. 5; 8 and 9 are for shared pools
inline constexpr uint32_t kSharedPools = 2;
inline constexpr uint32_t kFirstSharedPool = 8;

enum class OpKind : uint8_t {
  // Of a client; through the ring in ring mode.
  kPut,
  kGet,
  kFlushPage,
  kFlushObject,
  kFlushPool,
  kCreatePool,
  kDestroyPool,
  kStaleGet,  // names another store epoch; so do the next two
  kStalePut,
  kStaleFlush,
  // Of the administrator and of time.
  kConfigure,
  kRemoveClient,
  kAddClient,
  kAuthorise,
  kEvict,
  kEvictClient,
  kSetBudget,
  kAdvance,
  kMaintain,
  kCount,
};

inline bool is_client_op(OpKind kind) {
  return kind <= OpKind::kStaleFlush;
}

struct Operation {
  OpKind kind = OpKind::kGet;
  uint8_t client = 0;    // 0 .. kClientsMax-1
  bool allowed = false;  // kAuthorise
  store::Key key;
  ContentId content{};
  store::PoolSpec spec;   // kCreatePool, kAuthorise
  uint64_t amount = 0;    // bytes, slices or milliseconds
  uint64_t settings = 0;  // kConfigure, kAddClient: seed for Shape::settings_of
};

Uuid client_uuid(uint32_t client);
Uuid shared_uuid(uint32_t pool);
std::string describe(const Operation& op);

}  // namespace tmem::model
