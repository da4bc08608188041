// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/bench/provider.h"

#include <algorithm>
#include <cstring>

#include "tmemd/memory/memfd.h"

namespace tmem::bench {

Result<std::unique_ptr<TouchedProvider>> TouchedProvider::create(uint64_t bytes) {
  TMEM_TRY(auto below, memory::create_memfd_provider({.bytes_max = bytes, .populate = true}));
  for (uint32_t slot = 0; slot < below->slots_max(); ++slot) {
    TMEM_TRY(const auto id, below->acquire());
    below->commit(id);
    std::memset(below->base() + static_cast<size_t>(id) * memory::kSlotBytes, 0,
                memory::kSlotBytes);
  }
  return std::unique_ptr<TouchedProvider>(new TouchedProvider(std::move(below)));
}

void TouchedProvider::zero(size_t slot) {
  std::memset(base() + slot * memory::kSlotBytes, 0, memory::kSlotBytes);
}

Result<memory::SlotId> TouchedProvider::acquire() {
  const std::lock_guard lock(mutex_);
  const auto free =
      std::find_if(state_.begin(), state_.end(), [](State s) { return s != State::kTaken; });
  if (free == state_.end()) return fail(Errc::kNoSpace, "all slots are taken");
  const auto slot = static_cast<size_t>(free - state_.begin());
  if (*free == State::kDirty) zero(slot);
  *free = State::kTaken;
  return memory::SlotId{static_cast<uint32_t>(slot)};
}

void TouchedProvider::release(memory::SlotId slot) {
  const std::lock_guard lock(mutex_);
  state_.at(static_cast<size_t>(slot)) = State::kDirty;
}

std::vector<memory::SlotId> TouchedProvider::enumerate() const {
  const std::lock_guard lock(mutex_);
  std::vector<memory::SlotId> taken;
  for (size_t slot = 0; slot < state_.size(); ++slot)
    if (state_[slot] == State::kTaken) taken.push_back(memory::SlotId{static_cast<uint32_t>(slot)});
  return taken;
}

uint64_t TouchedProvider::resident_bytes() const {
  return enumerate().size() * memory::kSlotBytes;
}

void TouchedProvider::scrub() {
  const std::lock_guard lock(mutex_);
  for (size_t slot = 0; slot < state_.size(); ++slot) {
    if (state_[slot] != State::kDirty) continue;
    zero(slot);
    state_[slot] = State::kClean;
  }
}

}  // namespace tmem::bench
