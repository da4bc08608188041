// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's memory: its programs touch chunks, what is missing comes from the pool or the disk,
// what is coldest goes there. docs/lab-policies.md describes the model and its limits.
//
// Always: kernel + resident + free = actual.
#pragma once
#include <cstdint>
#include <vector>

#include "tools/lab/policies/host_pool.h"
#include "tools/lab/policies/pressure.h"
#include "tools/lab/policies/shared_disk.h"
#include "tools/lab/policies/wheel.h"
#include "tools/lab/rng.h"

namespace tmem::lab::policies {

struct GuestCounters {
  uint64_t refault_pages = 0;  // of files, that had been evicted
  uint64_t swap_in_pages = 0;
  uint64_t swap_out_pages = 0;
  uint64_t disk_read_pages = 0;  // of both, from the disk; first reads of a file are not in it
  double some_us = 0;
  double full_us = 0;
};

class SimGuest {
 public:
  // `actual_pages`: what it starts with; HostPool has given it.
  SimGuest(const Scenario& scenario, uint32_t id, const Constants& constants, HostPool& pool,
           SharedDisk& disk, uint64_t actual_pages);

  void begin_tick();
  // The balloon, one tick: towards the target.
  void deflate(uint64_t target_pages);
  void inflate(uint64_t target_pages);
  // Programs and kernel, one tick.
  void run(uint32_t tick);
  // Reads up to so many pages of its swap in the pool, into memory that it frees for them. How
  // many.
  uint64_t bring_back(uint64_t pages);

  // One tick in which the host wants its old pages in the pool on its disk.
  void write_back(uint32_t tick);

  uint64_t actual_pages() const { return actual_pages_; }
  uint64_t free_pages() const { return free_pages_; }
  uint64_t anon_pages() const { return resident_pages_[0]; }
  uint64_t file_pages() const { return resident_pages_[1]; }
  uint64_t swapped_pages() const;
  uint64_t watermark_pages() const;
  // What it needs at this moment: its kernel and all that is touched often.
  uint64_t need_pages() const { return script_.kernel_pages + hot_pages_; }
  // Of these, what the pool has. Looks at every chunk.
  uint64_t needed_pages_in_pool() const;
  // What it would commit: all that is or was in use, touched or not, until it is freed.
  uint64_t committed_pages() const { return committed_pages_; }
  const GuestCounters& counters() const { return counters_; }
  double some_us_of_tick() const { return some_us_of_tick_; }

  // The bursts so far: when each began, and for how long it made its pages wait (see measure.h).
  struct Burst {
    uint32_t region = 0;
    uint32_t begin_tick = 0;
    uint32_t end_tick = UINT32_MAX;  // its region is not used any more
    std::vector<double> done_ms;     // by touched chunk, in order of time
  };
  const std::vector<Burst>& bursts() const { return bursts_; }

 private:
  struct Chunk {
    uint16_t region = 0;
    uint8_t task = 0;
    Kind kind = Kind::kAnon;
    bool in_use = false;
    bool was_read = false;     // a file's: it has been in memory
    bool is_active = false;    // on which list
    bool waits_first = false;  // of a burst, until its first touch is served
    bool is_marked = false;    // in the pool, and neither put nor got since the marking
    uint32_t period_ms = 0;
    uint32_t resident = 0;
    uint32_t swapped = 0;  // on the disk
    uint32_t random = 0;
  };

  void add_region(uint16_t region);
  void populate();
  void start_use(uint32_t region, uint32_t tick, bool at_once);
  void stop_use(uint32_t region, uint32_t tick, bool free);
  void free_chunk(uint32_t c);
  bool is_needed(const Chunk& chunk) const;
  void handle_events(uint32_t tick);
  uint32_t next_touch(Chunk& chunk, uint32_t tick) const;

  void touch(uint32_t c, uint32_t tick);
  // False when there is not memory enough for all of the chunk.
  bool fault_in(uint32_t c, uint32_t wanted, double& stall_us);
  double read_anon(uint32_t c, uint32_t pages);
  double read_file(uint32_t c, uint32_t pages);
  void served(Chunk& chunk, uint32_t tick);

  // Frees up to so many pages, the coldest; adds what a task that waits for it waits.
  uint64_t evict(uint64_t pages, double& wait_us);
  uint32_t evict_from(uint32_t c, uint32_t pages, double& wait_us);
  void evict_anon(uint32_t c, uint32_t pages, double& wait_us);
  void background_reclaim(uint64_t free_wanted_pages);
  void get_from_pool(uint32_t c, uint32_t pages);
  uint32_t coldest() const;
  void make_resident(uint32_t c, uint32_t pages);
  void mark_pooled(uint32_t tick);
  void list_newest(uint32_t c);
  void unlist(uint32_t c);

  const GuestScript& script_;
  const uint32_t id_;
  const Constants& constants_;
  HostPool& pool_;
  SharedDisk& disk_;
  Rng rng_;

  uint64_t actual_pages_;
  uint64_t free_pages_;
  uint64_t resident_pages_[2] = {0, 0};  // by Kind
  uint64_t allocated_anon_pages_ = 0;
  uint64_t hot_pages_ = 0;
  uint64_t committed_pages_ = 0;
  double reclaim_budget_pages_ = 0;  // of the background, in this tick

  std::vector<Chunk> chunks_;
  std::vector<uint32_t> region_begin_;
  std::vector<bool> is_committed_;  // by region
  std::vector<ChunkLink> links_;
  ChunkList active_;
  ChunkList inactive_;  // files read once: they go first
  Wheel wheel_;
  TaskStalls stalls_;
  size_t next_event_ = 0;
  uint32_t back_at_ = 0;  // where bring_back() goes on

  bool has_marks_ = false;
  uint32_t marked_tick_ = 0;
  uint32_t write_back_at_ = 0;  // no chunk before it is marked

  GuestCounters counters_;
  double some_us_of_tick_ = 0;
  std::vector<Burst> bursts_;
};

}  // namespace tmem::lab::policies
