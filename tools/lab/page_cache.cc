// SPDX-License-Identifier: GPL-2.0-or-later
// GuestMemory's files: reads with readahead, cleancache, dirty pages and their write-back.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "libtmem/base/assert.h"
#include "tools/lab/guest_memory.h"

namespace tmem::lab {

InodeId GuestMemory::create_file(uint32_t file_system, const ContentRef& content) {
  InodeId id = 0;
  if (free_inodes_.empty()) {
    id = static_cast<InodeId>(inodes_.size());
    inodes_.emplace_back();
  } else {
    id = free_inodes_.top();
    free_inodes_.pop();
  }
  const uint64_t pages = (content.bytes + kPageBytes - 1) / kPageBytes;
  inodes_[id] = {true, file_system, content, next_block_, std::vector(pages, kNoFrame)};
  // Blocks are not reused: where a file lies depends on its creation only.
  next_block_ += pages;
  return id;
}

void GuestMemory::unlink(InodeId id) {
  Inode& inode = inodes_[id];
  TMEM_ASSERT(inode.live);
  for (const FrameId frame : inode.frames) {
    if (frame == kNoFrame) continue;
    if (frames_[frame].dirty) --dirty_pages_;
    frames_.remove(frame);
    frames_.give_back(frame);
  }
  std::vector<PageOp> flush{{StoreOp::kFlushObject, inode.file_system, id, 0, nullptr}};
  run(flush);
  inode.live = false;
  inode.frames.clear();
  free_inodes_.push(id);
}

void GuestMemory::read_file(InodeId id, uint32_t first, uint32_t count) {
  const uint32_t end = std::min(first + count, inodes_[id].pages());
  for (uint32_t page = first; page < end && !failure_; ++page) {
    if (inodes_[id].frames[page] == kNoFrame) {
      const uint32_t window = std::min(page + model_.guest.readahead_pages, inodes_[id].pages());
      std::vector<uint32_t> missing;
      for (uint32_t at = page; at < window && inodes_[id].frames[at] == kNoFrame; ++at) {
        missing.push_back(at);
      }
      fetch(id, missing);
      if (failure_) return;
    }
    // A window can be larger than a tiny guest's free memory: its head may be gone again.
    const FrameId frame = inodes_[id].frames[page];
    if (frame != kNoFrame) mark_accessed(frame);
    effects_.cpu_ns += model_.cost.file_read_ns;
  }
}

void GuestMemory::execute(InodeId id, uint32_t page) {
  if (inodes_[id].frames[page] == kNoFrame) {
    // A fault reads around: all that is missing of the aligned window.
    const uint32_t window = model_.guest.readahead_pages;
    const uint32_t start = page / window * window;
    const uint32_t end = std::min(start + window, inodes_[id].pages());
    effects_.cpu_ns += model_.cost.major_fault_ns;
    std::vector<uint32_t> missing;
    for (uint32_t at = start; at < end; ++at) {
      if (inodes_[id].frames[at] == kNoFrame) missing.push_back(at);
    }
    fetch(id, missing);
  }
  effects_.cpu_ns += model_.cost.touch_ns;
  const FrameId frame = inodes_[id].frames[page];
  if (frame == kNoFrame) return;
  frames_[frame].mapped = frames_[frame].executable = frames_[frame].young = true;
}

// Brings pages into the cache: from cleancache, else from the disk.
void GuestMemory::fetch(InodeId id, const std::vector<uint32_t>& pages) {
  std::vector<FrameId> taken;
  for (size_t i = 0; i < pages.size(); ++i) {
    taken.push_back(allocate());
    if (taken.back() == kNoFrame) return;
  }
  Inode& inode = inodes_[id];
  std::vector<PageOp> gets;
  for (size_t i = 0; store_ != nullptr && i < pages.size(); ++i) {
    gets.push_back(
        {StoreOp::kGet, inode.file_system, id, pages[i], frames_.bytes(taken[i]).data()});
  }
  run(gets);
  std::vector<uint64_t> blocks;
  for (size_t i = 0; i < pages.size(); ++i) {
    const uint32_t index = pages[i];
    if (!gets.empty() && gets[i].ok) {
      ++counters_.cleancache_hits;
      check_file_page(inode, index, taken[i]);
    } else {
      const auto read = contents_.file_page(inode.content, index, frames_.bytes(taken[i]));
      if (!read) fail_run(read.error().message);
      blocks.push_back(inode.block + index);
    }
    inode.frames[index] = taken[i];
    Frame& frame = frames_[taken[i]];
    frame.file = true;
    frame.owner = id;
    frame.index = index;
    frames_.add_newest(taken[i], List::kInactiveFile);
  }
  counters_.cleancache_gets += gets.size();
  request_blocks(blocks, false);
}

void GuestMemory::check_file_page(const Inode& inode, uint32_t index, FrameId frame) {
  alignas(64) std::array<std::byte, kPageBytes> expected{};
  const auto read = contents_.file_page(inode.content, index, expected);
  if (!read) return fail_run(read.error().message);
  ++counters_.pages_compared;
  if (std::memcmp(expected.data(), frames_.bytes(frame).data(), kPageBytes) != 0) {
    fail_run(fmt::format("guest {} got wrong bytes for page {} of a file: the store is broken",
                         guest_, index));
  }
}

// mark_page_accessed(): the second use of an inactive page makes it active.
void GuestMemory::mark_accessed(FrameId id) {
  Frame& frame = frames_[id];
  if (!frame.referenced) {
    frame.referenced = true;
  } else if (!is_active(frame.list)) {
    frame.referenced = false;
    frames_.remove(id);
    frames_.add_newest(id, List::kActiveFile);
  }
}

void GuestMemory::write_file(InodeId id, uint32_t first, uint32_t count) {
  for (uint32_t page = first; page < first + count && !failure_; ++page) {
    FrameId id_of_frame = inodes_[id].frames[page];
    if (id_of_frame == kNoFrame) {
      id_of_frame = allocate();
      if (id_of_frame == kNoFrame) return;
      // The page is not read before it is overwritten, so an older copy must go.
      std::vector<PageOp> flush{{StoreOp::kFlushPage, inodes_[id].file_system, id, page, nullptr}};
      run(flush);
      Frame& frame = frames_[id_of_frame];
      frame.file = true;
      frame.owner = id;
      frame.index = page;
      inodes_[id].frames[page] = id_of_frame;
      frames_.add_newest(id_of_frame, List::kInactiveFile);
    }
    const auto made = contents_.file_page(inodes_[id].content, page, frames_.bytes(id_of_frame));
    if (!made) return fail_run(made.error().message);
    mark_accessed(id_of_frame);
    mark_dirty(id, page);
    effects_.cpu_ns += model_.cost.file_write_ns;
  }
  if (dirty_pages_ * 100 > dirtyable() * model_.guest.dirty_percent) {
    write_dirty(model_.guest.writes_pending_pages_max, now_ns_);
  }
}

void GuestMemory::mark_dirty(InodeId id, uint32_t index) {
  Frame& frame = frames_[inodes_[id].frames[index]];
  if (frame.dirty) return;
  frame.dirty = true;
  frame.dirtied_ns = now_ns_;
  ++dirty_pages_;
  dirty_.push_back({id, index, now_ns_});
}

bool GuestMemory::is_dirty(const DirtyPage& page) const {
  const Inode& inode = inodes_[page.inode];
  if (!inode.live || page.index >= inode.pages()) return false;
  const FrameId id = inode.frames[page.index];
  return id != kNoFrame && frames_[id].dirty && frames_[id].dirtied_ns == page.dirtied_ns;
}

uint32_t GuestMemory::dirtyable() const {
  return frames_.free() + frames_.size(List::kInactiveFile) + frames_.size(List::kActiveFile);
}

// Writes at most `pages_max` pages that became dirty before or at `older_than_ns`, oldest first.
void GuestMemory::write_dirty(uint32_t pages_max, uint64_t older_than_ns) {
  std::vector<uint64_t> blocks;
  while (!dirty_.empty() && blocks.size() < pages_max &&
         dirty_.front().dirtied_ns <= older_than_ns) {
    const DirtyPage page = dirty_.front();
    dirty_.pop_front();
    if (!is_dirty(page)) continue;
    const Inode& inode = inodes_[page.inode];
    frames_[inode.frames[page.index]].dirty = false;
    --dirty_pages_;
    blocks.push_back(inode.block + page.index);
  }
  request_blocks(blocks, true);
}

void GuestMemory::write_back() {
  const uint64_t expire = model_.guest.dirty_expire_ns;
  if (now_ns_ >= expire) write_dirty(frames_.max(), now_ns_ - expire);
  const uint32_t limit = dirtyable() * model_.guest.dirty_background_percent / 100;
  if (dirty_pages_ > limit) write_dirty(dirty_pages_ - limit, now_ns_);
}

}  // namespace tmem::lab
