// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/memory/xen/pool_domain.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "libtmem/base/assert.h"
#include "libtmem/base/text.h"
#include "tmemd/memory/xen/owner_lock.h"

namespace tmem::memory::xen {
namespace {

// Of fragmented memory, with the page that lists its frames.
constexpr uint64_t kBytesPerSlotMax = kSlotBytes + kPageBytes;

constexpr uint64_t kMappingsDefault = 65530;
constexpr uint64_t kMappingsKept = 8192;  // for all that is no slot: rings, stacks, heap

// Each slot is one mapping, or part of the space between two.
uint64_t slot_mappings_max(uint64_t mappings_max) {
  return mappings_max - std::min(kMappingsKept, mappings_max / 2);
}

}  // namespace

uint64_t steady_now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

uint64_t read_mappings_max() {
  std::ifstream file("/proc/sys/vm/max_map_count");
  uint64_t mappings = 0;
  return file >> mappings && mappings > 0 ? mappings : kMappingsDefault;
}

Result<std::unique_ptr<PoolDomain>> PoolDomain::open(std::unique_ptr<Hypervisor> hypervisor,
                                                     const HostMemory& memory,
                                                     const PoolDomainOptions& options) {
  const uint64_t wanted = (options.bytes_max + kSlotBytes - 1) / kSlotBytes;
  if (wanted == 0) return fail(Errc::kMalformed, "a pool domain needs a size of 2 MiB or more");
  const uint64_t mappings = slot_mappings_max(options.mappings_max);
  const uint64_t slots = std::min({wanted, mappings, uint64_t{FrameTable::slots_limit()}});
  TMEM_TRY(UniqueFd lock, lock_owner(options.lock_path, options.lock_patience));
  TMEM_TRY(Recovered recovered,
           recover_or_create(*hypervisor, kPoolHandle, static_cast<uint32_t>(slots), mappings));
  if (slots < wanted) {
    std::string warning = "the pool is limited to " + mib_text(slots * kSlotBytes) + " of " +
                          mib_text(wanted * kSlotBytes);
    if (slots == mappings)
      warning += ": set vm.max_map_count to " + std::to_string(wanted + kMappingsKept) +
                 " (sysctl) and restart tmemd";
    recovered.report.warnings.push_back(std::move(warning));
  }
  PoolDomainOptions limited = options;
  limited.bytes_max = slots * kSlotBytes;
  return std::make_unique<PoolDomain>(std::move(lock), std::move(hypervisor), memory,
                                      std::move(recovered), limited);
}

PoolDomain::PoolDomain(UniqueFd lock, std::unique_ptr<Hypervisor> hypervisor,
                       const HostMemory& memory, Recovered recovered,
                       const PoolDomainOptions& options)
    : lock_(std::move(lock)),
      hypervisor_(std::move(hypervisor)),
      memory_(memory),
      domain_(recovered.domain),
      table_(std::move(recovered.table)),
      range_(std::move(recovered.range)),
      base_(range_.base()),
      slots_max_(recovered.slots_max),
      slots_held_max_(static_cast<uint32_t>(options.bytes_max / kSlotBytes)),
      report_(std::move(recovered.report)),
      now_ns_(options.now_ns),
      on_stranded_(options.on_stranded),
      floor_bytes_(options.floor_bytes),
      states_(recovered.slots_max, State::kFree),
      slots_taken_(static_cast<uint32_t>(recovered.slots.size())) {
  for (const uint32_t slot : recovered.slots) states_[slot] = State::kHeld;
}

Result<SlotId> PoolDomain::acquire() {
  const uint64_t start_ns = now_ns_();
  TMEM_TRY(const uint32_t slot, claim_slot());
  const auto filled = fill(slot);
  settle(slot, filled ? State::kHeld : State::kFree);
  {
    const std::lock_guard lock(mutex_);
    --acquiring_;
  }
  if (!filled) return tl::make_unexpected(filled.error());
  taken_bytes_ += kSlotBytes;
  take_ns_ += now_ns_() - start_ns;
  return SlotId{slot};
}

Result<uint32_t> PoolDomain::claim_slot() {
  if (lost()) return fail(Errc::kNotFound, "somebody destroyed the pool domain");
  const std::lock_guard lock(mutex_);
  TMEM_CHECK(check_limits());
  const auto free = std::find(states_.begin() + lowest_free_, states_.end(), State::kFree);
  if (free == states_.end()) return fail(Errc::kNoSpace, "all slots are taken");
  *free = State::kBusy;
  lowest_free_ = static_cast<uint32_t>(free - states_.begin());
  ++slots_taken_;
  ++acquiring_;
  return lowest_free_;
}

Result<void> PoolDomain::check_limits() {
  if (!table_) return fail(Errc::kNotFound, "the pool domain has been destroyed");
  if (slots_taken_ >= slots_held_max_)
    return fail(Errc::kNoSpace,
                "the pool has its maximum of " + mib_text(uint64_t{slots_held_max_} * kSlotBytes));
  TMEM_TRY(const HostMemoryInfo host, memory_.read());
  const uint64_t floor_bytes = floor_bytes_;
  const uint64_t needed_bytes = (uint64_t{acquiring_} + 1) * kBytesPerSlotMax;
  if (host.available_bytes() >= needed_bytes &&
      host.available_bytes() - needed_bytes >= floor_bytes)
    return {};
  return fail(Errc::kNoSpace, "Xen has " + mib_text(host.free_bytes) + " free, " +
                                  mib_text(host.claimed_bytes) + " of them promised, and keeps " +
                                  mib_text(floor_bytes) + " for guests");
}

// One extent; of fragmented memory, single pages.
Result<std::vector<Frame>> PoolDomain::take_frames() {
  {
    const std::lock_guard lock(mutex_);
    if (!spares_.empty()) {
      std::vector<Frame> spare = std::move(spares_.back());
      spares_.pop_back();
      return spare;
    }
  }
  std::vector<Frame> frames(kFramesPerSlot);
  const auto extent = hypervisor_->populate_extent(domain_);
  if (extent) {
    for (uint64_t i = 0; i < kFramesPerSlot; ++i)
      frames[i] = Frame{static_cast<uint64_t>(*extent) + i};
    return frames;
  }
  if (extent.error().code != Errc::kNoSpace) return tl::make_unexpected(extent.error());
  TMEM_TRY(const size_t count, hypervisor_->populate_pages(domain_, frames));
  if (count == kFramesPerSlot) return frames;
  frames.resize(count);
  TMEM_CHECK(zero_and_release(*hypervisor_, domain_, frames));
  return fail(Errc::kNoSpace, "Xen has no memory for another slot");
}

void PoolDomain::give_frames(std::vector<Frame> frames) {
  if (zero_and_release(*hypervisor_, domain_, frames)) return;
  const std::lock_guard lock(mutex_);
  spares_.push_back(std::move(frames));
}

// Recorded last: until then a successor takes the frames for orphans.
Result<void> PoolDomain::fill(uint32_t slot) {
  TMEM_TRY(std::vector<Frame> frames, take_frames());
  auto done = hypervisor_->map(domain_, frames, place_of(slot));
  if (done) {
    done = table_->record(slot, frames);
    if (done) return {};
    const auto unmapped = hypervisor_->unmap(place_of(slot), kSlotBytes);
    if (!unmapped) {
      strand(slot, unmapped.error());
      return done;
    }
  }
  give_frames(std::move(frames));
  return done;
}

void PoolDomain::release(SlotId id) {
  const uint64_t start_ns = now_ns_();
  const auto slot = static_cast<uint32_t>(id);
  {
    const std::lock_guard lock(mutex_);
    TMEM_ASSERT(slot < slots_max_ && states_[slot] == State::kHeld);
    states_[slot] = State::kBusy;
  }
  const auto emptied = empty(slot);
  if (!emptied) return strand(slot, emptied.error());
  settle(slot, State::kFree);
  given_bytes_ += kSlotBytes;
  give_ns_ += now_ns_() - start_ns;
}

// After each step a successor finds either a recorded slot or orphans, which it zeroes.
Result<void> PoolDomain::empty(uint32_t slot) {
  // What a destroyed domain had is scrubbed by Xen when it is unmapped.
  if (lost()) return hypervisor_->unmap(place_of(slot), kSlotBytes);
  TMEM_TRY(const auto entry, table_->read(slot));
  TMEM_ASSERT(entry.has_value());
  std::memset(place_of(slot), 0, kSlotBytes);
  table_->clear(slot);
  TMEM_CHECK(hypervisor_->unmap(place_of(slot), kSlotBytes));
  TMEM_CHECK(hypervisor_->release(domain_, entry->frames));
  if (entry->list) (void)zero_and_release(*hypervisor_, domain_, std::span(&*entry->list, 1));
  return {};
}

void PoolDomain::settle(uint32_t slot, State state) {
  const std::lock_guard lock(mutex_);
  if (states_[slot] != State::kBusy) return;
  states_[slot] = state;
  if (state == State::kStranded) ++stranded_slots_;
  if (state != State::kFree) return;
  --slots_taken_;
  lowest_free_ = std::min(lowest_free_, slot);
}

void PoolDomain::strand(uint32_t slot, const Error& why) {
  settle(slot, State::kStranded);
  if (on_stranded_ && !told_stranded_.exchange(true))
    on_stranded_(
        "2 MiB of the pool domain can be neither used nor given back before tmemd starts "
        "again ('tmem info stranded_slots' counts more of them): " +
        why.message);
}

std::vector<SlotId> PoolDomain::enumerate() const {
  const std::lock_guard lock(mutex_);
  std::vector<SlotId> slots;
  for (uint32_t slot = 0; slot < slots_max_; ++slot)
    if (states_[slot] == State::kHeld) slots.push_back(SlotId{slot});
  return slots;
}

uint64_t PoolDomain::pending_bytes() const {
  const std::lock_guard lock(mutex_);
  return acquiring_ * kBytesPerSlotMax;
}

uint64_t PoolDomain::resident_bytes() const {
  return hypervisor_->owned_pages(domain_).value_or(0) * kPageBytes;
}

PoolDomainTimes PoolDomain::times() const {
  return {.taken_bytes = taken_bytes_,
          .take_ns = take_ns_,
          .given_bytes = given_bytes_,
          .give_ns = give_ns_};
}

bool PoolDomain::lost() const {
  return hypervisor_->is_alive(domain_, kPoolHandle).value_or(true) == false;
}

Result<void> PoolDomain::destroy() {
  const std::lock_guard lock(mutex_);
  if (!table_) return {};
  // What is mapped is not Xen's; destroyed, it is scrubbed by Xen.
  for (uint32_t slot = 0; slot < slots_max_; ++slot) {
    if (states_[slot] == State::kHeld) TMEM_CHECK(hypervisor_->unmap(place_of(slot), kSlotBytes));
    states_[slot] = State::kStranded;
  }
  table_.reset();
  return hypervisor_->destroy(domain_);
}

}  // namespace tmem::memory::xen
