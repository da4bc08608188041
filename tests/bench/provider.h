// SPDX-License-Identifier: GPL-2.0-or-later
// Slots of a memfd that are all touched before the first measurement and never go back to the
// system: otherwise a bench measures page faults and, in a VM, the hypervisor.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "tmemd/memory/slot_provider.h"

namespace tmem::bench {

class TouchedProvider final : public memory::SlotProvider {
 public:
  static Result<std::unique_ptr<TouchedProvider>> create(uint64_t bytes);

  std::byte* base() const override { return below_->base(); }
  uint32_t slots_max() const override { return below_->slots_max(); }
  Result<memory::SlotId> acquire() override;
  void commit(memory::SlotId) override {}
  void release(memory::SlotId slot) override;
  void discard(memory::SlotId, size_t, size_t) override {}
  bool can_discard() const override { return true; }
  std::vector<memory::SlotId> enumerate() const override;
  uint64_t resident_bytes() const override;

  // Zeroes what was released, so that acquire() finds it done. Between rounds.
  void scrub();

 private:
  enum class State : uint8_t { kClean, kDirty, kTaken };
  explicit TouchedProvider(std::unique_ptr<memory::SlotProvider> below)
      : below_(std::move(below)), state_(below_->slots_max(), State::kClean) {}
  void zero(size_t slot);

  const std::unique_ptr<memory::SlotProvider> below_;
  mutable std::mutex mutex_;
  std::vector<State> state_;  // under mutex_
};

}  // namespace tmem::bench
