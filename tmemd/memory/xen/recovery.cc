// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/memory/xen/recovery.h"

#include <algorithm>

namespace tmem::memory::xen {
namespace {

// Beside its slots the domain owns lists, directories and the root.
uint64_t pages_max(uint32_t slots) {
  return (uint64_t{slots} + 1) * (kFramesPerSlot + 2);
}

// Frames that somebody has named.
class FrameSet {
 public:
  explicit FrameSet(uint64_t frames_end) : bits_(frames_end) {}

  bool contains(Frame frame) const {
    const auto number = static_cast<uint64_t>(frame);
    return number < bits_.size() && bits_[number];
  }
  // All or none: none when one is named twice or no frame of this machine.
  bool add(std::span<const Frame> frames) {
    for (size_t i = 0; i < frames.size(); ++i) {
      const auto number = static_cast<uint64_t>(frames[i]);
      if (number >= bits_.size() || bits_[number]) {
        remove(frames.first(i));
        return false;
      }
      bits_[number] = true;
    }
    count_ += frames.size();
    return true;
  }
  void take_out(std::span<const Frame> frames) {
    remove(frames);
    count_ -= frames.size();
  }
  uint64_t count() const { return count_; }

 private:
  void remove(std::span<const Frame> frames) {
    for (const Frame frame : frames) bits_[static_cast<uint64_t>(frame)] = false;
  }

  std::vector<bool> bits_;
  uint64_t count_ = 0;
};

class Recovery {
 public:
  Recovery(Hypervisor& hypervisor, DomId domain, FrameSet named)
      : hypervisor_(hypervisor), domain_(domain), named_(std::move(named)) {}

  Result<Recovered> run(uint32_t slots, uint64_t mappings_max) {
    report_.found = true;
    TMEM_CHECK(hypervisor_.set_pages_max(domain_, pages_max(slots)));
    TMEM_TRY(FrameTable table, open_table());
    TMEM_CHECK(name_table(table));
    const uint32_t end = recorded_end(table);
    TMEM_CHECK(check_mappings(mappings_max));
    uint32_t slots_max = std::max(slots, end);
    TMEM_TRY(AddressRange range, AddressRange::reserve(size_t{slots_max} * kSlotBytes, kSlotBytes));
    std::vector<uint32_t> mapped;
    for (uint32_t slot = 0; slot < end; ++slot) {
      TMEM_TRY(const bool good, adopt(table, slot, range.base() + size_t{slot} * kSlotBytes));
      if (good) mapped.push_back(slot);
    }
    TMEM_CHECK(return_orphans());
    TMEM_CHECK(hypervisor_.set_pages_max(domain_, pages_max(slots_max)));
    TMEM_TRY(slots_max, grow(table, slots_max));
    report_.slots = static_cast<uint32_t>(mapped.size());
    return Recovered{.domain = domain_,
                     .table = std::move(table),
                     .range = std::move(range),
                     .slots_max = slots_max,
                     .slots = std::move(mapped),
                     .report = std::move(report_)};
  }

 private:
  Result<FrameTable> open_table() {
    auto table = FrameTable::open(hypervisor_, domain_);
    if (table || table.error().code != Errc::kMalformed) return table;
    warn(table.error().message + ": all its memory is given back");
    report_.table_lost = true;
    // First: a frame that was given back must not be believed to be the root, ever.
    TMEM_CHECK(hypervisor_.set_root(domain_, Frame{0}));
    TMEM_CHECK(return_orphans());
    return FrameTable::create(hypervisor_, domain_);
  }

  Result<void> name_table(const FrameTable& table) {
    if (!named_.add(table.frames()))
      return fail(Errc::kMalformed, "the pool domain's frame table lies outside of memory");
    if (!table.is_whole())
      warn("part of the pool domain's frame table is damaged: the memory it named is given back");
    return {};
  }

  uint32_t recorded_end(const FrameTable& table) {
    uint32_t end = 0;
    for (uint32_t slot = 0; slot < table.slots(); ++slot) {
      if (!table.is_recorded(slot)) continue;
      end = slot + 1;
      ++recorded_;
    }
    return end;
  }

  Result<void> check_mappings(uint64_t mappings_max) const {
    if (recorded_ <= mappings_max) return {};
    return fail(Errc::kNoSpace,
                "the pool domain holds " + std::to_string(recorded_) +
                    " slots, more than this process may map: set vm.max_map_count to at least " +
                    std::to_string(2 * recorded_) + " (sysctl)");
  }

  // Whether the slot is recorded, believable and mapped at `place`.
  Result<bool> adopt(FrameTable& table, uint32_t slot, std::byte* place) {
    const auto entry = table.read(slot);
    if (!entry && entry.error().code != Errc::kMalformed) return tl::make_unexpected(entry.error());
    if (!entry) return drop(table, slot, entry.error().message);
    if (!*entry) return false;
    std::vector<Frame> frames = (*entry)->frames;
    if ((*entry)->list) frames.push_back(*(*entry)->list);
    if (!named_.add(frames)) return drop(table, slot, "it names frames that it cannot have");
    const auto mapped = hypervisor_.map(domain_, (*entry)->frames, place);
    if (mapped) return true;
    // Anything else may be better next time: the contents are kept.
    if (mapped.error().code != Errc::kConflict) return tl::make_unexpected(mapped.error());
    named_.take_out(frames);
    return drop(table, slot, mapped.error().message);
  }

  Result<bool> drop(FrameTable& table, uint32_t slot, const std::string& why) {
    if (++report_.damaged_slots == 1)
      warn("slot " + std::to_string(slot) + " of the pool domain is lost: " + why);
    table.clear(slot);
    return false;
  }

  Result<void> return_orphans() {
    TMEM_TRY(const uint64_t owned_pages, hypervisor_.owned_pages(domain_));
    if (owned_pages <= named_.count()) return {};
    TMEM_TRY(std::vector<Frame> orphans, hypervisor_.owned_frames(domain_));
    std::erase_if(orphans, [this](Frame frame) { return named_.contains(frame); });
    report_.orphan_bytes += orphans.size() * kPageBytes;
    return zero_and_release(hypervisor_, domain_, orphans);
  }

  // How many slots there can be. Without memory for more directories: as many as there were.
  Result<uint32_t> grow(FrameTable& table, uint32_t slots_max) {
    const auto grown = table.grow(slots_max);
    if (grown) return slots_max;
    if (!table.is_whole() || table.slots() == 0) return tl::make_unexpected(grown.error());
    warn("the pool domain's frame table stays small: " + grown.error().message);
    return std::min(slots_max, table.slots());
  }

  void warn(std::string sentence) { report_.warnings.push_back(std::move(sentence)); }

  Hypervisor& hypervisor_;
  const DomId domain_;
  FrameSet named_;
  uint64_t recorded_ = 0;
  RecoveryReport report_;
};

Result<Recovered> create(Hypervisor& hypervisor, DomId domain, uint32_t slots) {
  TMEM_CHECK(hypervisor.set_pages_max(domain, pages_max(slots)));
  TMEM_TRY(AddressRange range, AddressRange::reserve(size_t{slots} * kSlotBytes, kSlotBytes));
  TMEM_TRY(FrameTable table, FrameTable::create(hypervisor, domain));
  TMEM_CHECK(table.grow(slots));
  return Recovered{.domain = domain,
                   .table = std::move(table),
                   .range = std::move(range),
                   .slots_max = slots,
                   .slots = {},
                   .report = {}};
}

}  // namespace

Result<Recovered> recover_or_create(Hypervisor& hypervisor, const Uuid& handle, uint32_t slots,
                                    uint64_t mappings_max) {
  TMEM_TRY(const std::optional<DomId> found, hypervisor.find(handle));
  if (found) {
    TMEM_TRY(const uint64_t frames_end, hypervisor.frames_end());
    return Recovery(hypervisor, *found, FrameSet(frames_end)).run(slots, mappings_max);
  }
  TMEM_TRY(const DomId domain, hypervisor.create(handle));
  auto created = create(hypervisor, domain, slots);
  if (!created) (void)hypervisor.destroy(domain);
  return created;
}

}  // namespace tmem::memory::xen
