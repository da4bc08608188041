// SPDX-License-Identifier: GPL-2.0-or-later
// Which frames hold which slot, written in pages of the pool domain itself, so that whoever comes
// after us finds the slots again.
//
// The root (its frame is the domain's root word) lists directories, a directory lists 512 slots. A
// slot of one contiguous extent is one entry; another has a page that lists its 512 frames. Entries
// are written last and cleared first: a frame that no entry names is an orphan.
//
// Every entry carries a check of its place and of what it names; what does not check is damaged.
// Not thread-safe; different slots may be recorded, read and cleared by different threads.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "tmemd/memory/slot_provider.h"
#include "tmemd/memory/xen/address_range.h"
#include "tmemd/memory/xen/hypervisor.h"

namespace tmem::memory::xen {

inline constexpr size_t kFramesPerSlot = kSlotBytes / kPageBytes;

class FrameTable {
 public:
  // A new table for this domain; the root word is set last.
  static Result<FrameTable> create(Hypervisor& hypervisor, DomId domain);
  // The one that the domain has. Errors: kMalformed when it has none, or its root is damaged;
  // kConflict when another version of tmemd wrote it; kOs.
  static Result<FrameTable> open(Hypervisor& hypervisor, DomId domain);

  FrameTable(FrameTable&&) = default;
  FrameTable& operator=(FrameTable&&) = delete;

  // Makes room for at least so many slots; a table never shrinks.
  Result<void> grow(uint32_t slots);
  static uint32_t slots_limit();
  uint32_t slots() const;
  // Frames of root and directories.
  const std::vector<Frame>& frames() const { return frames_; }

  // False while a damaged directory has not been replaced by grow().
  bool is_whole() const;

  bool is_recorded(uint32_t slot) const;
  struct Entry {
    std::vector<Frame> frames;  // of the slot, in order
    std::optional<Frame> list;  // the page that lists them, if they are not contiguous
  };
  // Nothing when no slot is recorded. Errors: kMalformed when the entry is damaged; kOs.
  Result<std::optional<Entry>> read(uint32_t slot) const;
  // `frames`: kFramesPerSlot of them. May take a page of the domain for their list.
  Result<void> record(uint32_t slot, std::span<const Frame> frames);
  // The frames are orphans then; the list's page stays the caller's to give back.
  void clear(uint32_t slot);

 private:
  struct Root;
  FrameTable(Hypervisor& hypervisor, DomId domain, Frame frame, FrameMapping root);

  Root& root() const;
  Result<void> open_directory(uint32_t index);
  Result<void> add_directory(uint32_t index);
  uint64_t& entry(uint32_t slot) const;

  Hypervisor* hypervisor_;
  DomId domain_;
  FrameMapping root_;
  std::deque<std::optional<FrameMapping>> directories_;  // nothing: damaged, its slots are lost
  std::vector<Frame> frames_;
};

}  // namespace tmem::memory::xen
