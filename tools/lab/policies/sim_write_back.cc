// SPDX-License-Identifier: GPL-2.0-or-later
// What has been in the pool for long goes home to the guest's disk, as guest-kmod/swap does it:
// mark what is there, wait, take what is still marked, mark anew. Nobody waits for it.
#include <algorithm>

#include "tools/lab/policies/sim_guest.h"

namespace tmem::lab::policies {

void SimGuest::mark_pooled(uint32_t tick) {
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    Chunk& chunk = chunks_[c];
    chunk.is_marked = chunk.kind == Kind::kAnon && pool_.pages_of(id_, c) > 0;
  }
  has_marks_ = true;
  marked_tick_ = tick;
  write_back_at_ = 0;
}

void SimGuest::write_back(uint32_t tick) {
  const WriteBackConstants& constants = constants_.write_back;
  if (!has_marks_) mark_pooled(tick);
  if ((tick - marked_tick_) * kTickMs < constants.age_ms || disk_.is_behind()) return;
  auto budget_pages = static_cast<uint32_t>(pages_per_tick(constants.guest_mib_s));
  uint32_t written = 0;
  for (; write_back_at_ < chunks_.size(); ++write_back_at_) {
    Chunk& chunk = chunks_[write_back_at_];
    if (!chunk.is_marked) continue;
    const uint32_t pooled = pool_.pages_of(id_, write_back_at_);
    const uint32_t pages = std::min(budget_pages - written, pooled);
    pool_.get_persistent(id_, write_back_at_, pages);
    chunk.swapped += pages;
    written += pages;
    if (pages < pooled) break;
    chunk.is_marked = false;
  }
  if (written > 0) disk_.write(written);
  has_marks_ = write_back_at_ < chunks_.size();
}

}  // namespace tmem::lab::policies
