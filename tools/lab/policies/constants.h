// SPDX-License-Identifier: GPL-2.0-or-later
// Every constant of the policy simulation, with its unit and where it is from. Those of disk, pool,
// balloon and guests were fixed before any strategy was tuned; docs/lab-policies.md says what each
// stands for.
#pragma once
#include <cstdint>

#include "libtmem/base/units.h"

namespace tmem::lab::policies {

// The grain of the model: time passes in ticks, memory is touched and aged in chunks.
inline constexpr uint32_t kTickMs = 100;
inline constexpr double kTickUs = kTickMs * 1000.0;
inline constexpr uint32_t kChunkPages = 1024;  // 4 MiB

constexpr double pages_per_tick(double mib_s) {
  return mib_s * (kMiB / kPageBytes) * kTickMs / 1000;
}

// One disk, shared by all guests. A request waits for what is queued, then takes the latency and
// its transfer; the disk is busy for the larger of its transfer and request_us.
struct DiskConstants {
  double latency_us;  // of one request on an idle disk
  double request_us;  // between requests when many are in flight
  double page_us;     // transfer of 4 KiB
};
// Data sheet of a SATA SSD of 2018 (Samsung 860 EVO): 10,000 random reads a second one by one,
// 98,000 with 32 in flight; 500 MB/s, rounded down from 520 to 550.
inline constexpr DiskConstants kSataSsd{100, 10.2, 8.2};
// Data sheets of 7200 rpm desktop disks: seek 8.5 ms, half a turn 4.17 ms, 150 MB/s. One arm: a
// request keeps it busy for its whole latency.
inline constexpr DiskConstants kHardDisk{12'670, 12'670, 27.3};

// The pool. Times of the store are of docs/performance.md: a copy of a cold page 0.55 us, a put 2.8
// of it (P1-path); a get 1.17 of LZ4's decompression of 1.5 us (P2). The ring: assumption, two
// notifications and two wake-ups; a quarter of a millisecond under the emulator is no guide.
enum class Eviction : uint8_t {
  kOurs,        // who has most above its share by weight; nobody above: the oldest page of all
  kDocumented,  // Xen's old tmem, as its document has it
  kShipped,     // and as it was
};
struct PoolConstants {
  Eviction eviction = Eviction::kOurs;
  double put_page_us = 3.0;       // 1.5 in the store, 0.5 copying into a slot, 1.0 in the guest
  double get_page_us = 2.3;       // 1.8 in the store, 0.5 copying out of a slot
  double round_trip_us = 15.0;    // of a batch of gets
  uint32_t metadata_bytes = 56;   // a page, docs/performance.md (D4)
  double head_room_ratio = 0.05;  // of the host, docs/memory.md
};

// Reclaim and faults in a guest.
struct GuestConstants {
  double scan_page_us = 0.3;   // a page looked at and unmapped; as in tools/lab/parameters.h
  double fault_page_us = 0.5;  // entering and leaving a major fault, beside the data's own time
  // Pages that one request brings and that are used: half of Linux' defaults (page-cluster 3: 8
  // pages; read_ahead_kb 128: 32 pages).
  uint32_t anon_cluster_pages = 4;
  uint32_t file_cluster_pages = 16;
  // Share of evicted pages that are not the coldest: assumption; Linux knows referenced or not, and
  // sees it only when it scans.
  double lru_error_ratio = 0.10;
  double watermark_ratio = 0.01;  // kswapd keeps free; assumption, of the order of Linux' high mark
  double kswapd_mib_s = 400;      // and not faster than the balloon below
  double reserve_ratio = 0.025;   // totalreserve_pages over memory; assumption
};

// Domain 0's balloon under the emulator, 2.3 ms a MiB (it varies: docs/memory.md). Real hosts are
// faster. (qmemman gives up below 100 MB/s.) A new target is seen one tick later.
struct BalloonConstants {
  double up_mib_s = 435;    // towards more memory
  double down_mib_s = 435;  // and never faster than the guest's reclaim
};

// Ours, guest-kmod/swap: a page that has been in the pool for so long goes home to the guest's
// disk, at this rate, while the host wants it (policy/write_back.h). Rate 0: never.
struct WriteBackConstants {
  uint32_t period_ms = 1000;  // between the host's decisions, tmemd's
  uint32_t age_ms = 30'000;
  double guest_mib_s = 8;
};

// The guest's agent: a report a second, another when PSI's trigger fires. Ours, as in
// tools/tmem-guestd/pace.c, only while something moves; then it looks less often. For a strategy
// with a shorter period, one at each of its ticks where memory in use has changed by what that
// strategy could notice.
struct AgentConstants {
  uint32_t period_ms = 1000;
  uint32_t calm_look_ms = 2000;
  uint32_t stays_active_ms = 5000;
  uint32_t heartbeat_ms = 10'000;
  double moved_ratio = 0.02;  // of memory
  uint64_t moved_stall_us = 1000;
  uint64_t change_bytes = 3'000 * kKiB;
  uint32_t trigger_window_ms = 500;
  uint32_t trigger_stall_ms = 50;
  uint32_t urgent_max = 5;  // events, then none for
  uint32_t urgent_pause_ms = 1000;
  uint32_t shrink_pages_per_s = 4096;  // --shrink of tmem-guestd, whose law it is
};

// What is measured.
struct MeasureConstants {
  uint32_t warm_up_ms = 60'000;     // not measured
  uint32_t hot_period_ms = 10'000;  // what is touched this often is the guest's need
  uint32_t starved_ms = 2000;       // below the need for longer counts
  double burst_ratio = 0.95;        // of a burst's pages
  double burst_goal_ms = 100;       // a burst whose pages have memory so soon is in time
  double burst_balloon_goal_ms = 2000;
};

struct Constants {
  DiskConstants disk = kSataSsd;
  PoolConstants pool;
  GuestConstants guest;
  BalloonConstants balloon;
  WriteBackConstants write_back;
  AgentConstants agent;
  MeasureConstants measure;
};

}  // namespace tmem::lab::policies
