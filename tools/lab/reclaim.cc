// SPDX-License-Identifier: GPL-2.0-or-later
// GuestMemory's reclaim, after mm/vmscan.c of Linux 2.6.32: scan the inactive lists from their old
// ends, keep what was used meanwhile, put or write the rest; balance file against anonymous
// pages by how many scanned pages had to be kept.
#include <algorithm>

#include "tools/lab/guest_memory.h"
#include "tools/lab/rng.h"

namespace tmem::lab {
namespace {
constexpr uint32_t kPriorityMax = 12;  // scan 1/4096 of a list; then ever more
constexpr uint32_t kClusterPages = 32;
}  // namespace

void GuestMemory::reclaim_to(uint32_t free_pages) {
  for (uint32_t priority = kPriorityMax + 1; priority-- > 0;) {
    if (frames_.free() >= free_pages || failure_) return;
    scan(priority, free_pages);
  }
}

// get_scan_ratio(): percent of [anonymous, file] pages to scan.
std::array<uint32_t, 2> GuestMemory::scan_percent() {
  const std::array<uint64_t, 2> sizes = {
      uint64_t{frames_.size(List::kInactiveAnon)} + frames_.size(List::kActiveAnon),
      uint64_t{frames_.size(List::kInactiveFile)} + frames_.size(List::kActiveFile)};
  if (swap_.used() == swap_.size()) return {0, 100};
  if (sizes[1] + frames_.free() <= high_) return {100, 0};
  for (size_t kind = 0; kind < 2; ++kind) {
    if (recent_scanned_[kind] > sizes[kind] / 4) {
      recent_scanned_[kind] /= 2;
      recent_rotated_[kind] /= 2;
    }
  }
  const std::array<uint64_t, 2> weights = {model_.guest.swappiness, 200 - model_.guest.swappiness};
  std::array<uint64_t, 2> parts{};
  for (size_t kind = 0; kind < 2; ++kind) {
    parts[kind] = (weights[kind] + 1) * (recent_scanned_[kind] + 1) / (recent_rotated_[kind] + 1);
  }
  const auto anon = static_cast<uint32_t>(100 * parts[0] / (parts[0] + parts[1] + 1));
  return {anon, 100 - anon};
}

void GuestMemory::scan(uint32_t priority, uint32_t free_pages) {
  const std::array<uint32_t, 2> percent = scan_percent();
  std::array<uint32_t, kLists> todo{};
  for (size_t list = 0; list < kLists; ++list) {
    uint64_t pages = frames_.size(static_cast<List>(list));
    if (priority > 0) pages = (pages >> priority) * percent[is_file(static_cast<List>(list))] / 100;
    // Too little for a cluster is saved up for the next scan.
    saved_scan_[list] += static_cast<uint32_t>(pages);
    if (saved_scan_[list] >= kClusterPages || priority == 0) {
      todo[list] = std::exchange(saved_scan_[list], 0);
    }
  }
  const auto left = [&] {
    return todo[0] + todo[2] + todo[3];  // the active anonymous list alone reclaims nothing
  };
  while (left() > 0 && frames_.free() < free_pages && !failure_) {
    for (size_t n = 0; n < kLists; ++n) {
      const uint32_t count = std::min(todo[n], kClusterPages);
      todo[n] -= count;
      const auto list = static_cast<List>(n);
      const bool file = is_file(list);
      if (count == 0) continue;
      if (!is_active(list)) {
        shrink_inactive(file, count);
      } else if (frames_.size(inactive_list(file)) < frames_.size(active_list(file))) {
        shrink_active(file, count);
      }
    }
  }
  // Keep the inactive anonymous list stocked even when nothing was taken from it.
  if (frames_.size(List::kInactiveAnon) < frames_.size(List::kActiveAnon) &&
      swap_.used() < swap_.size()) {
    shrink_active(false, kClusterPages);
  }
}

void GuestMemory::shrink_active(bool file, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    const FrameId id = frames_.oldest(active_list(file));
    if (id == kNoFrame) return;
    Frame& frame = frames_[id];
    frames_.remove(id);
    ++recent_scanned_[file];
    effects_.cpu_ns += model_.cost.scan_ns;
    const bool used = frame.mapped && frame.young;
    frame.young = false;
    if (used) ++recent_rotated_[file];
    const bool keep = used && frame.executable && frame.file;
    frames_.add_newest(id, keep ? active_list(file) : inactive_list(file));
  }
}

void GuestMemory::shrink_inactive(bool file, uint32_t count) {
  Cluster cluster;
  const uint32_t most = std::min(count, frames_.size(inactive_list(file)));
  for (uint32_t i = 0; i < most; ++i) {
    const FrameId id = frames_.oldest(inactive_list(file));
    frames_.remove(id);
    ++recent_scanned_[file];
    effects_.cpu_ns += model_.cost.scan_ns;
    if (activate_if_used(id)) continue;
    if (file) {
      evict_file_page(id, cluster);
    } else {
      swap_out(id, cluster);
    }
  }
  finish(cluster);
}

bool GuestMemory::activate_if_used(FrameId id) {
  Frame& frame = frames_[id];
  frame.referenced = false;
  if (!frame.mapped || !frame.young) return false;
  frame.young = false;
  ++recent_rotated_[frame.file];
  frames_.add_newest(id, active_list(frame.file));
  return true;
}

void GuestMemory::evict_file_page(FrameId id, Cluster& cluster) {
  Frame& frame = frames_[id];
  Inode& inode = inodes_[frame.owner];
  if (frame.dirty) {  // write it now, evict it the next time it comes by
    frame.dirty = false;
    --dirty_pages_;
    cluster.blocks.push_back(inode.block + frame.index);
    frames_.add_newest(id, List::kInactiveFile);
    return;
  }
  ++counters_.file_pages_evicted;
  inode.frames[frame.index] = kNoFrame;
  if (store_ != nullptr) {
    ++counters_.cleancache_puts;
    cluster.puts.push_back(
        {StoreOp::kPut, inode.file_system, frame.owner, frame.index, frames_.bytes(id).data()});
  }
  cluster.freed.push_back(id);
}

void GuestMemory::swap_out(FrameId id, Cluster& cluster) {
  const Frame& frame = frames_[id];
  AnonPage& page = spaces_[frame.owner].pages[frame.index];
  if (page.slot != kNoSlot) {  // swap still has these bytes
    page.frame = kNoFrame;
    cluster.freed.push_back(id);
    return;
  }
  const SlotId slot = swap_.allocate(frame.owner, frame.index);
  if (slot == kNoSlot) {
    frames_.add_newest(id, List::kActiveAnon);
    return;
  }
  ++counters_.pages_swapped_out;
  page.slot = slot;
  page.frame = kNoFrame;
  cluster.freed.push_back(id);
  // Persistent pages are charged to the guest: with its memory they stay within its maximum.
  const size_t charged = frames_.present() + swap_.in_frontswap() + cluster.put_slots.size();
  if (store_ != nullptr && charged < frames_.max()) {
    contents_.anonymous_page(mix(spaces_[frame.owner].name, frame.index), page.version,
                             frames_.bytes(id));
    cluster.puts.push_back(frontswap_op(StoreOp::kPut, slot, frames_.bytes(id).data()));
    cluster.put_slots.push_back(slot);
  } else {
    counters_.swap_sectors_written += kSectorsPerPage;
    cluster.blocks.push_back(swap_block(slot));
  }
}

// A cluster is of one kind, so its puts are all to cleancache or all to frontswap.
void GuestMemory::finish(Cluster& cluster) {
  run(cluster.puts);
  counters_.frontswap_puts += cluster.put_slots.size();
  for (size_t i = 0; i < cluster.put_slots.size(); ++i) {
    if (cluster.puts[i].ok) {
      swap_.set_in_frontswap(cluster.put_slots[i], true);
    } else {
      ++counters_.frontswap_refused;
      counters_.swap_sectors_written += kSectorsPerPage;
      cluster.blocks.push_back(swap_block(cluster.put_slots[i]));
    }
  }
  request_blocks(cluster.blocks, true);
  for (const FrameId id : cluster.freed) frames_.give_back(id);
}

}  // namespace tmem::lab
