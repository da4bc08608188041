// SPDX-License-Identifier: GPL-2.0-or-later
// Credits: room kept for persistent puts that a guest reports as done before they are answered.
//
// A credit is granted from memory that is held: slots that other guests may take promise nothing.
//
// A credit is charged like a raw persistent page, so that every other decision (guarantees, best
// effort, caps, the budget's lower bound) sees it; the put that spends it takes its place.
#include <algorithm>

#include "libtmem/base/assert.h"
#include "tmemd/store/impl.h"

namespace tmem::store {

namespace {

// Acquired while a guest waits.
constexpr uint32_t kSlotsMax = 4;
// Left for puts of others that looked before and are under way: each may take a block.
constexpr int64_t kUnderWayBytes = 8 * kBlockBytes;

}  // namespace

bool Store::wants_credits(const Client& client) {
  if (!client.live || client.frozen) return false;
  return std::any_of(client.pools.begin(), client.pools.end(), [](const Pool& pool) {
    const PoolState state = pool.load();
    return state.alive() && state.kind == Kind::kPersistent;
  });
}

// Serialised, so that two threads do not promise the same memory.
uint32_t Store::reserve_credits(Client& client, uint32_t pages) {
  const std::lock_guard lock(impl_->credit_mutex);
  const uint64_t charged = client.charged_bytes(Kind::kPersistent);
  const uint64_t guaranteed = client.guarantee_bytes;
  const auto own_bytes = static_cast<int64_t>(guaranteed > charged ? guaranteed - charged : 0);
  const auto wanted_bytes = static_cast<int64_t>(pages * kRawPageBytes);
  (void)impl_->hold_more(wanted_bytes - own_bytes + kUnderWayBytes, kSlotsMax);
  impl_->forget_best_effort(lock);
  int64_t others_bytes = impl_->unpromised_bytes(impl_->blocks.held_room_bytes()) - kUnderWayBytes;
  if (impl_->blocks.can_discard()) others_bytes = std::max<int64_t>(others_bytes, 0);
  const auto room_bytes = static_cast<uint64_t>(std::max<int64_t>(own_bytes + others_bytes, 0));
  uint64_t count = std::min<uint64_t>(pages, room_bytes / kRawPageBytes);
  if (const uint64_t cap = client.cap_pages; cap != kNoCap) {
    const uint64_t taken = client.pages() + client.usage.credits;
    count = std::min(count, cap > taken ? cap - taken : 0);
  }
  client.usage.credits += count;
  return static_cast<uint32_t>(count);
}

void Store::release_credits(Client& client, uint32_t pages) {
  const uint64_t before = client.usage.credits.fetch_sub(pages);
  TMEM_ASSERT(before >= pages);
}

}  // namespace tmem::store
