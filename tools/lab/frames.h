// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's page frames and Linux' four LRU lists (2.6.28 to 5.x): active and inactive, of file
// pages and of anonymous pages. A frame is free, ballooned out, on one list, or held by a caller.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tools/lab/file_source.h"

namespace tmem::lab {

using FrameId = uint32_t;
inline constexpr FrameId kNoFrame = 0xffffffff;

enum class List : uint8_t { kInactiveAnon, kActiveAnon, kInactiveFile, kActiveFile, kNone };
inline constexpr size_t kLists = 4;

constexpr bool is_active(List list) {
  return list == List::kActiveAnon || list == List::kActiveFile;
}
constexpr bool is_file(List list) {
  return list == List::kInactiveFile || list == List::kActiveFile;
}
constexpr List inactive_list(bool file) {
  return file ? List::kInactiveFile : List::kInactiveAnon;
}
constexpr List active_list(bool file) {
  return file ? List::kActiveFile : List::kActiveAnon;
}

struct Frame {
  FrameId older = kNoFrame;  // towards the tail
  FrameId newer = kNoFrame;
  List list = List::kNone;
  bool file = false;
  bool mapped = false;      // in page tables: use shows as `young`
  bool executable = false;  // mapped for execution
  bool young = false;       // the accessed bit of the page tables
  bool referenced = false;  // PG_referenced
  bool dirty = false;
  uint32_t owner = 0;       // inode number, or address space
  uint32_t index = 0;       // page within it
  uint64_t dirtied_ns = 0;  // when it became dirty
};

// `max` frames of which `present` belong to the guest; the rest is ballooned out.
class Frames {
 public:
  Frames(uint32_t max, uint32_t present);

  Frame& operator[](FrameId id) { return frames_[id]; }
  const Frame& operator[](FrameId id) const { return frames_[id]; }
  Page bytes(FrameId id) { return Page(memory_.get() + size_t{id} * kPageBytes, kPageBytes); }

  uint32_t max() const { return static_cast<uint32_t>(frames_.size()); }
  uint32_t present() const { return present_; }
  uint32_t free() const { return static_cast<uint32_t>(free_.size()); }
  uint32_t size(List list) const { return sizes_[static_cast<size_t>(list)]; }

  // A free frame with all fields reset, or kNoFrame.
  FrameId take();
  // `id` must be on no list.
  void give_back(FrameId id);
  // Up to `count` free frames leave the guest; returns how many.
  uint32_t balloon_out(uint32_t count);
  // Ballooned frames return as free ones; at most max() - present().
  void balloon_in(uint32_t count);

  void add_newest(FrameId id, List list);
  void remove(FrameId id);  // from its list
  FrameId oldest(List list) const { return oldest_[static_cast<size_t>(list)]; }

 private:
  struct Unmap {
    size_t bytes;
    void operator()(std::byte* memory) const;
  };
  std::vector<Frame> frames_;
  std::vector<FrameId> free_;
  std::vector<FrameId> ballooned_;
  uint32_t present_;
  std::array<uint32_t, kLists> sizes_{};
  std::array<FrameId, kLists> oldest_{};
  std::array<FrameId, kLists> newest_{};
  std::unique_ptr<std::byte, Unmap> memory_;  // committed by the OS at first touch
};

}  // namespace tmem::lab
