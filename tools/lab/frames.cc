// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/frames.h"

#include <sys/mman.h>

#include <algorithm>

#include "libtmem/base/assert.h"

namespace tmem::lab {

void Frames::Unmap::operator()(std::byte* memory) const {
  (void)::munmap(memory, bytes);
}

Frames::Frames(uint32_t max, uint32_t present) : frames_(max), present_(present) {
  TMEM_ASSERT(max > 0 && present <= max);
  oldest_.fill(kNoFrame);
  newest_.fill(kNoFrame);
  for (FrameId id = max; id-- > 0;) (id < present ? free_ : ballooned_).push_back(id);
  const size_t bytes = size_t{max} * kPageBytes;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  TMEM_ASSERT(memory != MAP_FAILED);
  memory_ = std::unique_ptr<std::byte, Unmap>(static_cast<std::byte*>(memory), Unmap{bytes});
}

FrameId Frames::take() {
  if (free_.empty()) return kNoFrame;
  const FrameId id = free_.back();
  free_.pop_back();
  frames_[id] = Frame{};
  return id;
}

void Frames::give_back(FrameId id) {
  TMEM_ASSERT(frames_[id].list == List::kNone);
  free_.push_back(id);
}

uint32_t Frames::balloon_out(uint32_t count) {
  const uint32_t moved = std::min(count, free());
  ballooned_.insert(ballooned_.end(), free_.end() - moved, free_.end());
  free_.resize(free_.size() - moved);
  present_ -= moved;
  return moved;
}

void Frames::balloon_in(uint32_t count) {
  TMEM_ASSERT(count <= ballooned_.size());
  free_.insert(free_.end(), ballooned_.end() - count, ballooned_.end());
  ballooned_.resize(ballooned_.size() - count);
  present_ += count;
}

void Frames::add_newest(FrameId id, List list) {
  Frame& frame = frames_[id];
  TMEM_ASSERT(frame.list == List::kNone && list != List::kNone);
  const auto n = static_cast<size_t>(list);
  frame.list = list;
  frame.newer = kNoFrame;
  frame.older = newest_[n];
  if (newest_[n] == kNoFrame) {
    oldest_[n] = id;
  } else {
    frames_[newest_[n]].newer = id;
  }
  newest_[n] = id;
  ++sizes_[n];
}

void Frames::remove(FrameId id) {
  Frame& frame = frames_[id];
  TMEM_ASSERT(frame.list != List::kNone);
  const auto n = static_cast<size_t>(frame.list);
  (frame.older == kNoFrame ? oldest_[n] : frames_[frame.older].newer) = frame.newer;
  (frame.newer == kNoFrame ? newest_[n] : frames_[frame.newer].older) = frame.older;
  frame.list = List::kNone;
  frame.older = frame.newer = kNoFrame;
  --sizes_[n];
}

}  // namespace tmem::lab
