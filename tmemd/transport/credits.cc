// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/credits.h"

#include "libtmem/base/shared_word.h"
#include "tmemd/transport/ring_view.h"

namespace tmem::transport {

Result<std::unique_ptr<Credits>> Credits::open(store::Store& store, store::ClientRef client,
                                               tmem_control_page& queue0, uint32_t outstanding_max,
                                               CreditsLeft left) {
  if (left.outstanding > outstanding_max)
    return fail(Errc::kMalformed, "the ring claims more credits than a guest is ever given");
  const uint32_t reserved =
      left.outstanding == 0 ? 0 : store.reserve_credits(*client, left.outstanding);
  if (reserved < left.outstanding) {
    store.release_credits(*client, reserved);
    return fail(Errc::kNoSpace, "there is no room for the credits that the guest holds");
  }
  return std::unique_ptr<Credits>(
      new Credits(store, std::move(client), queue0, outstanding_max, left));
}

Credits::~Credits() {
  store_.release_credits(*client_, outstanding_);
}

bool Credits::spend() {
  uint32_t outstanding = outstanding_;
  while (outstanding != 0)
    if (outstanding_.compare_exchange_weak(outstanding, outstanding - 1)) return true;
  return false;
}

void Credits::top_up() {
  if (outstanding_.load(std::memory_order_relaxed) > outstanding_max_ / 2) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || !store::Store::wants_credits(*client_)) return;
  const uint32_t granted = store_.reserve_credits(*client_, outstanding_max_ - outstanding_);
  if (granted == 0) return;
  outstanding_ += granted;
  granted_ += granted;
  store_release(queue0_.credits_granted, granted_);
}

CreditsLeft credits_left(const std::vector<RingView>& queues) {
  const tmem_control_page& queue0 = queues.front().control();
  const uint32_t granted = load_relaxed(queue0.credits_granted);
  CreditsLeft left{granted, granted - load_relaxed(queue0.credits_used)};
  for (const RingView& ring : queues) {
    const uint32_t done = load_relaxed(ring.control().rsp_prod);
    const uint32_t posted = load_acquire(ring.control().req_prod);
    if (posted - done > ring.entries()) continue;  // Queue::attach refuses it
    for (uint32_t i = done; i != posted; ++i)
      if ((ring.copy_request(i).wire.flags & TMEM_REQUEST_CREDIT) != 0) ++left.outstanding;
  }
  return left;
}

}  // namespace tmem::transport
