// SPDX-License-Identifier: GPL-2.0-or-later
// Slots in Xen's own free memory: it belongs to a domain that never runs, the pool domain.
//
// The domain outlives the process: whoever opens it next finds the slots and their contents again.
// What is released is Xen's at once: zeroed, unmapped, given back, in this order. See
// docs/decisions/0004-pool-domain.md.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "libtmem/base/unique_fd.h"
#include "tmemd/memory/slot_provider.h"
#include "tmemd/memory/xen/recovery.h"

namespace tmem::memory::xen {

// How the pool domain is found among Xen's domains.
inline constexpr Uuid kPoolHandle = {0x74, 0x6d, 0x65, 0x6d, 0x70, 0x6f, 0x4f, 0x6c,
                                     0x8d, 0x6f, 0x6d, 0x61, 0x69, 0x6e, 0x30, 0x31};

uint64_t steady_now_ns();
// How many mappings the kernel allows this process (vm.max_map_count).
uint64_t read_mappings_max();

struct PoolDomainOptions {
  uint64_t bytes_max = 0;    // rounded up to whole slots
  uint64_t floor_bytes = 0;  // Xen's available memory does not fall below it for our sake
  std::string lock_path = "/run/tmemd-pool.lock";
  std::chrono::milliseconds lock_patience{10'000};
  uint64_t mappings_max = read_mappings_max();
  uint64_t (*now_ns)() = steady_now_ns;
  // Once, with the reason, when a slot is stranded first. Any thread; must not block.
  std::function<void(const std::string&)> on_stranded = {};
};

// What it cost since the pool was opened.
struct PoolDomainTimes {
  uint64_t taken_bytes = 0;
  uint64_t take_ns = 0;
  uint64_t given_bytes = 0;
  uint64_t give_ns = 0;
};

class PoolDomain final : public SlotProvider {
 public:
  // Finds the pool domain of a predecessor, or makes one. `memory` must outlive it.
  // Errors: kMalformed for bytes_max 0; kConflict when another process has it or another version of
  // tmemd made it; kNoSpace; kOs.
  static Result<std::unique_ptr<PoolDomain>> open(std::unique_ptr<Hypervisor> hypervisor,
                                                  const HostMemory& memory,
                                                  const PoolDomainOptions& options);
  // The domain and the contents of its slots stay, as after a crash.
  ~PoolDomain() override = default;

  std::byte* base() const override { return base_; }
  uint32_t slots_max() const override { return slots_max_; }

  // Contents are undefined, and may be what another domain left. Errors: kNoSpace at one of the
  // limits or when Xen has no memory; kNotFound when the domain is lost; kOs.
  Result<SlotId> acquire() override;
  void commit(SlotId) override {}  // an acquired slot's memory is there
  void release(SlotId slot) override;
  void discard(SlotId, size_t, size_t) override {}
  bool can_discard() const override { return false; }
  std::vector<SlotId> enumerate() const override;
  // As Xen counts them: slots and frame table.
  uint64_t resident_bytes() const override;
  // The most it may hold. A predecessor may have left more: then there is more in slots_max().
  uint64_t bytes_max() const { return uint64_t{slots_held_max_} * kSlotBytes; }
  // What acquire() is taking in other threads, and Xen may not have counted yet.
  uint64_t pending_bytes() const;

  void set_floor_bytes(uint64_t bytes) { floor_bytes_ = bytes; }
  uint64_t floor_bytes() const { return floor_bytes_; }

  DomId domain() const { return domain_; }
  const RecoveryReport& report() const { return report_; }
  PoolDomainTimes times() const;
  // Slots whose memory could not be given back; a successor finds it.
  uint32_t stranded_slots() const { return stranded_slots_; }

  // True when somebody destroyed the domain. Acquired slots stay readable and writable until they
  // are released, but nothing outlives the process. One cheap hypercall.
  bool lost() const;
  // The orderly end: all memory is Xen's again, contents are gone. Nobody may use a slot during and
  // after it.
  Result<void> destroy();

  // For make_unique; use open().
  PoolDomain(UniqueFd lock, std::unique_ptr<Hypervisor> hypervisor, const HostMemory& memory,
             Recovered recovered, const PoolDomainOptions& options);

 private:
  enum class State : uint8_t { kFree, kBusy, kHeld, kStranded };

  std::byte* place_of(uint32_t slot) const { return base_ + size_t{slot} * kSlotBytes; }
  Result<uint32_t> claim_slot();
  Result<void> check_limits();
  Result<std::vector<Frame>> take_frames();
  void give_frames(std::vector<Frame> frames);
  Result<void> fill(uint32_t slot);
  Result<void> empty(uint32_t slot);
  void settle(uint32_t slot, State state);
  void strand(uint32_t slot, const Error& why);

  // In the order of their ends: mappings go before the hypervisor, the lock goes last.
  const UniqueFd lock_;
  const std::unique_ptr<Hypervisor> hypervisor_;
  const HostMemory& memory_;
  const DomId domain_;
  std::optional<FrameTable> table_;  // nothing after destroy()
  const AddressRange range_;
  std::byte* const base_;
  const uint32_t slots_max_;
  const uint32_t slots_held_max_;
  const RecoveryReport report_;
  uint64_t (*const now_ns_)();
  const std::function<void(const std::string&)> on_stranded_;

  std::atomic<uint64_t> floor_bytes_;
  std::atomic<uint32_t> stranded_slots_{0};
  std::atomic<bool> told_stranded_{false};
  std::atomic<uint64_t> taken_bytes_{0};
  std::atomic<uint64_t> take_ns_{0};
  std::atomic<uint64_t> given_bytes_{0};
  std::atomic<uint64_t> give_ns_{0};

  mutable std::mutex mutex_;  // guards all below; not held while memory is taken or given
  std::vector<State> states_;
  uint32_t lowest_free_ = 0;                // none below is free
  uint32_t slots_taken_ = 0;                // not free
  uint32_t acquiring_ = 0;                  // busy, and perhaps not yet counted by Xen
  std::vector<std::vector<Frame>> spares_;  // of slots, could not be zeroed and given back
};

}  // namespace tmem::memory::xen
