// SPDX-License-Identifier: GPL-2.0-or-later
// The memory management of a simulated Linux guest: page cache, anonymous memory, swap, reclaim,
// write-back, balloon. It calls transcendent memory where Linux did: cleancache when a clean page
// leaves the page cache (put), when one is missing, before the disk is read (get), and when a file
// is written or unlinked (flush); frontswap when a page is swapped out (put; a refusal writes the
// disk), swapped in (get), and when its slot is freed (flush).
//
// Every page that comes back is compared with what the guest must see; the first wrong byte ends
// the run (failure()). Costs and disk requests are collected, see take_effects().
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "tools/lab/contents.h"
#include "tools/lab/frames.h"
#include "tools/lab/page_store.h"
#include "tools/lab/parameters.h"
#include "tools/lab/swap_area.h"

namespace tmem::lab {

using InodeId = uint32_t;
using SpaceId = uint32_t;

inline constexpr uint32_t kFrontswapPool = 15;  // file system n uses pool n

struct GuestCounters {
  uint64_t sectors_read = 0;
  uint64_t sectors_written = 0;
  uint64_t swap_sectors_read = 0;  // parts of the above
  uint64_t swap_sectors_written = 0;
  uint64_t cleancache_puts = 0;
  uint64_t cleancache_gets = 0;
  uint64_t cleancache_hits = 0;
  uint64_t frontswap_puts = 0;
  uint64_t frontswap_refused = 0;
  uint64_t frontswap_hits = 0;
  uint64_t flushes = 0;
  uint64_t pages_compared = 0;
  uint64_t file_pages_evicted = 0;
  uint64_t pages_swapped_out = 0;
};

struct DiskRequest {
  uint64_t block = 0;  // of kPageBytes, on the host's disk
  uint32_t pages = 0;
  bool write = false;
};

// What happened since the last take_effects().
struct Effects {
  uint64_t cpu_ns = 0;
  uint64_t gets_hit = 0;
  std::vector<DiskRequest> requests;
};

class GuestMemory {
 public:
  // `contents` and `store` must outlive this; `store` is null for a guest without tmem.
  GuestMemory(const Parameters& parameters, const Model& model, uint32_t guest, Contents& contents,
              PageStore* store);

  // Creates the pools: cleancache of `file_systems` file systems, and frontswap.
  Result<void> connect(uint32_t file_systems);

  // ---- Files ----
  // Inode numbers are reused, lowest first, as ext3 does.
  InodeId create_file(uint32_t file_system, const ContentRef& content);
  void unlink(InodeId inode);
  uint32_t file_pages(InodeId inode) const { return inodes_[inode].pages(); }
  void read_file(InodeId inode, uint32_t first, uint32_t count);
  void execute(InodeId inode, uint32_t page);                      // of a mapped program
  void write_file(InodeId inode, uint32_t first, uint32_t count);  // whole pages

  // ---- Anonymous memory ----
  SpaceId create_space();
  void destroy_space(SpaceId space);
  void grow(SpaceId space, uint32_t pages);  // commits and writes that many new pages
  void touch(SpaceId space, uint32_t page, bool write);
  uint32_t space_pages(SpaceId space) const {
    return static_cast<uint32_t>(spaces_[space].pages.size());
  }
  // Sends the flushes that wait for company.
  void send_flushes();
  // Memory that is committed, and never touched.
  void commit(uint32_t pages) { committed_ += pages; }

  // ---- Periodic work ----
  void set_now(uint64_t now_ns) { now_ns_ = now_ns; }
  void write_back();

  // ---- Balloon ----
  uint32_t present() const { return frames_.present(); }
  uint32_t max() const { return frames_.max(); }
  uint32_t committed() const { return committed_; }
  uint32_t frontswap_pages() const { return swap_.in_frontswap(); }
  uint32_t inflate(uint32_t pages);  // gives pages away, reclaiming; returns how many
  void deflate(uint32_t pages);      // takes pages back
  void shrink_frontswap(uint32_t target);

  Effects take_effects();
  const GuestCounters& counters() const { return counters_; }
  const std::optional<std::string>& failure() const { return failure_; }
  const Frames& frames() const { return frames_; }
  const SwapArea& swap() const { return swap_; }

 private:
  struct Inode {
    bool live = false;
    uint32_t file_system = 0;
    ContentRef content;
    uint64_t block = 0;
    std::vector<FrameId> frames;  // one a page; kNoFrame: not cached
    uint32_t pages() const { return static_cast<uint32_t>(frames.size()); }
  };
  struct AnonPage {
    FrameId frame = kNoFrame;
    SlotId slot = kNoSlot;  // with a frame: an unmodified copy is there
    uint32_t version = 0;
  };
  struct Space {
    bool live = false;
    uint64_t name = 0;  // unique in the run
    std::vector<AnonPage> pages;
  };
  struct DirtyPage {
    InodeId inode;
    uint32_t index;
    uint64_t dirtied_ns;
  };
  // What one pass over an inactive list collected.
  struct Cluster {
    std::vector<FrameId> freed;
    std::vector<PageOp> puts;       // contents still in the frames
    std::vector<SlotId> put_slots;  // of the puts to frontswap, which follow those of cleancache
    std::vector<uint64_t> blocks;   // to be written
  };

  // guest_memory.cc
  FrameId allocate();
  void fail_run(std::string what);
  void run(std::vector<PageOp>& ops);
  void charge(const PageOp& op);
  void request_blocks(std::vector<uint64_t>& blocks, bool write);
  // page_cache.cc
  void fetch(InodeId inode, const std::vector<uint32_t>& pages);
  void mark_accessed(FrameId id);
  void check_file_page(const Inode& inode, uint32_t index, FrameId frame);
  void mark_dirty(InodeId inode, uint32_t index);
  bool is_dirty(const DirtyPage& page) const;
  void write_dirty(uint32_t pages_max, uint64_t older_than_ns);
  uint32_t dirtyable() const;
  // anonymous.cc
  bool swap_in(SpaceId space, uint32_t page);
  bool load_from_frontswap(SlotId slot, FrameId frame);
  void free_slot(SlotId slot, std::vector<PageOp>& flushes);
  void map_anonymous(SpaceId space, uint32_t page, FrameId frame);
  static PageOp frontswap_op(StoreOp op, SlotId slot, std::byte* page);
  uint64_t swap_block(SlotId slot) const { return swap_block_ + slot; }
  // reclaim.cc
  void reclaim_to(uint32_t free_pages);
  void scan(uint32_t priority, uint32_t free_pages);
  std::array<uint32_t, 2> scan_percent();
  void shrink_active(bool file, uint32_t count);
  void shrink_inactive(bool file, uint32_t count);
  bool activate_if_used(FrameId id);
  void evict_file_page(FrameId id, Cluster& cluster);
  void swap_out(FrameId id, Cluster& cluster);
  void finish(Cluster& cluster);

  const Parameters& parameters_;
  const Model& model_;
  const uint32_t guest_;
  Contents& contents_;
  PageStore* store_;
  Frames frames_;
  SwapArea swap_;
  std::vector<Inode> inodes_;
  std::priority_queue<InodeId, std::vector<InodeId>, std::greater<>> free_inodes_;
  std::vector<Space> spaces_;
  std::vector<SpaceId> free_spaces_;
  uint64_t next_space_name_ = 1;
  uint64_t next_block_;
  uint64_t swap_block_;
  std::vector<PageOp> flushes_;  // to be sent before anything else is
  std::deque<DirtyPage> dirty_;  // oldest first; some are clean again
  uint32_t dirty_pages_ = 0;
  uint32_t committed_ = 0;
  uint64_t now_ns_ = 0;
  uint32_t low_;                              // watermarks: reclaim starts,
  uint32_t high_;                             // and ends
  std::array<uint64_t, 2> recent_scanned_{};  // [file]
  std::array<uint64_t, 2> recent_rotated_{};
  std::array<uint32_t, kLists> saved_scan_{};
  Effects effects_;
  GuestCounters counters_;
  std::optional<std::string> failure_;
};

}  // namespace tmem::lab
