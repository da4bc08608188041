// SPDX-License-Identifier: GPL-2.0-or-later
// A slot provider for tests that cannot discard, as Xen's pool domain: slots come with garbage in
// them, go back whole, and a touch after that ends the test with SIGSEGV.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "libtmem/base/assert.h"
#include "tmemd/memory/slot_provider.h"

namespace tmem::model {

class WholeSlots final : public memory::SlotProvider {
 public:
  explicit WholeSlots(uint64_t bytes)
      : taken_((bytes + memory::kSlotBytes - 1) / memory::kSlotBytes), available_(taken_.size()) {
    void* range = mmap(nullptr, taken_.size() * memory::kSlotBytes, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(range);
  }
  WholeSlots(const WholeSlots&) = delete;
  WholeSlots& operator=(const WholeSlots&) = delete;
  ~WholeSlots() override { (void)munmap(base_, taken_.size() * memory::kSlotBytes); }

  std::byte* base() const override { return base_; }
  uint32_t slots_max() const override { return static_cast<uint32_t>(taken_.size()); }

  Result<memory::SlotId> acquire() override {
    const std::lock_guard lock(mutex_);
    const auto free = std::find(taken_.begin(), taken_.end(), false);
    if (free == taken_.end() || held_ >= available_)
      return fail(Errc::kNoSpace, "there is no slot");
    const auto slot = static_cast<uint32_t>(free - taken_.begin());
    TMEM_ASSERT(mprotect(address(slot), memory::kSlotBytes, PROT_READ | PROT_WRITE) == 0);
    std::memset(address(slot), 0xa5, memory::kSlotBytes);
    *free = true;
    ++held_;
    ++acquired_;
    return memory::SlotId{slot};
  }
  void commit(memory::SlotId /*slot*/) override {}
  void release(memory::SlotId id) override {
    if (on_release_) on_release_();
    const std::lock_guard lock(mutex_);
    const auto slot = static_cast<uint32_t>(id);
    TMEM_ASSERT(taken_.at(slot));
    TMEM_ASSERT(madvise(address(slot), memory::kSlotBytes, MADV_DONTNEED) == 0);
    TMEM_ASSERT(mprotect(address(slot), memory::kSlotBytes, PROT_NONE) == 0);
    taken_[slot] = false;
    --held_;
  }
  void discard(memory::SlotId /*slot*/, size_t /*offset*/, size_t /*bytes*/) override {
    TMEM_ASSERT(!"discard of a provider that cannot");
  }
  bool can_discard() const override { return false; }
  std::vector<memory::SlotId> enumerate() const override {
    const std::lock_guard lock(mutex_);
    std::vector<memory::SlotId> slots;
    for (uint32_t s = 0; s < taken_.size(); ++s)
      if (taken_[s]) slots.push_back(memory::SlotId{s});
    return slots;
  }
  uint64_t resident_bytes() const override { return held_ * memory::kSlotBytes; }

  // From now on refuses to have more slots out than this.
  void set_available(uint64_t slots) { available_ = slots; }
  // Called in each release, before the slot goes. Not while slots are being released.
  void set_on_release(std::function<void()> call) { on_release_ = std::move(call); }
  // Slots ever given out.
  uint64_t acquired() const { return acquired_; }

 private:
  std::byte* address(uint32_t slot) const { return base_ + size_t{slot} * memory::kSlotBytes; }

  std::byte* base_ = nullptr;
  std::function<void()> on_release_;
  mutable std::mutex mutex_;
  std::vector<bool> taken_;  // under mutex_
  std::atomic<uint64_t> available_;
  std::atomic<uint64_t> held_{0};
  std::atomic<uint64_t> acquired_{0};
};

}  // namespace tmem::model
