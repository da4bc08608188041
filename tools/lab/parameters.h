// SPDX-License-Identifier: GPL-2.0-or-later
// Every constant of the simulation, with its unit. docs/lab.md names the source of each.
//
// Sizes are those of the experiment at full size. --scale S divides memory, swap, fallow memory,
// the heaps of processes, and the numbers of jobs and headers by S. Rates, periods, the size of a
// file and the CPU time of a job are not scaled, so a run is S times shorter.
#pragma once
#include <cstdint>

#include "libtmem/base/units.h"

namespace tmem::lab {

inline constexpr uint64_t kMs = 1'000'000;  // simulated time is in nanoseconds
inline constexpr uint64_t kSecond = 1000 * kMs;
inline constexpr uint32_t kSectorsPerPage = 8;  // of 512 bytes

// What a run may choose.
struct Parameters {
  uint64_t seed = 1;
  uint32_t scale = 8;             // 1 .. 16
  uint32_t overlap_percent = 50;  // of files: the same in all guests
  uint32_t rounds = 2;            // "twice"
};

// The host: dual-core, 2 GB, of which dom0 has 256 MB.
struct HostModel {
  uint32_t guests = 4;
  uint32_t cores = 2;
  uint64_t fallow_mib = 256;
  uint64_t slice_ns = 10 * kMs;    // a vCPU keeps its core this long
  uint64_t step_ns = 1 * kSecond;  // the daemon's clock advances this often
};

struct GuestModel {
  uint64_t memory_mib = 384;
  uint64_t memory_max_mib = 512;
  uint64_t swap_mib = 512;
  uint32_t swappiness = 60;
  uint32_t readahead_pages = 32;  // 128 KiB
  uint64_t writeback_period_ns = 5 * kSecond;
  uint64_t dirty_expire_ns = 30 * kSecond;
  uint32_t dirty_background_percent = 10;
  uint32_t dirty_percent = 20;
  uint32_t writes_pending_pages_max = 512;  // a writer waits above it
};

// Self-ballooning (see balloon.h), in the units of its kernel driver.
struct BalloonModel {
  uint64_t period_ns = 5 * kSecond;
  uint32_t down_hysteresis = 8;
  uint32_t up_hysteresis = 1;
  uint32_t reserved_percent = 10;  // of the memory at start
  uint32_t frontswap_hysteresis = 20;
  uint32_t frontswap_inertia = 3;
};

// CPU time, of a core of 2010.
struct CostModel {
  uint64_t touch_ns = 100;         // a mapped page that is there
  uint64_t file_read_ns = 1'500;   // a page copied out of the page cache
  uint64_t anon_fault_ns = 2'000;  // a new zeroed page
  uint64_t major_fault_ns = 3'000;
  uint64_t file_write_ns = 2'500;
  uint64_t scan_ns = 300;           // a page looked at by reclaim
  uint64_t disk_guest_ns = 30'000;  // a disk request, in the guest
  uint64_t disk_dom0_ns = 50'000;   // and in dom0's block back end
  uint64_t put_ns = 3'000;
  uint64_t get_ns = 3'000;
  uint64_t flush_ns = 1'000;
  uint64_t get_compressed_ns = 3'000;  // more, for a page that has to be decompressed
  uint64_t lz4_ns = 14'000;            // background compression of a page
  uint64_t zstd_ns = 33'000;
};

// One IDE disk of 2010, shared by all guests.
struct DiskModel {
  uint64_t size_pages = 160'000'000'000 / kPageBytes;
  uint64_t partition_pages = 20'000'000'000 / kPageBytes;  // a guest's part of it
  uint64_t seek_min_ns = 800'000;
  uint64_t seek_span_ns = 13'200'000;  // times sqrt(distance / size)
  uint64_t rotation_ns = 4'170'000;    // half a turn at 7200 rpm
  uint64_t page_ns = 68'000;           // 60 MB/s
  uint32_t read_batch = 16;            // reads served before waiting writes get a turn
  uint32_t write_batch = 8;
};

// A kernel build. "jobs" and "headers" are of one tree, of which each guest has two.
struct BuildModel {
  uint32_t trees = 2;
  uint32_t parallel = 8;  // make -j8
  uint32_t jobs = 2000;
  uint32_t headers = 3200;
  uint32_t headers_per_job = 480;
  uint64_t compiler_kib = 40 * kKiB;  // its programs and libraries
  uint64_t heap_min_kib = 12 * kKiB;  // of a compiler process, at its end
  uint64_t heap_max_kib = 28 * kKiB;
  uint64_t linker_heap_kib = 64 * kKiB;
  uint64_t system_kib = 40 * kKiB;         // daemons of the guest: committed
  uint32_t system_used_percent = 60;       // of it ever touched
  uint32_t object_percent = 350;           // object size / source size
  uint32_t program_percent = 15;           // size of the linked program / all objects
  uint32_t jobs_per_archive = 16;          // objects joined by one `ld -r`
  uint32_t units = 48;                     // steps of a job
  uint64_t job_ns = 100 * kMs;             // CPU time of a job, and
  uint64_t job_source_page_ns = 30 * kMs;  // more for each page of its source
  uint64_t link_page_ns = 1 * kMs;
  uint32_t heap_touches = 24;  // touches a unit, half of them writes
  uint32_t text_touches = 24;
};

struct Model {
  HostModel host;
  GuestModel guest;
  BalloonModel balloon;
  CostModel cost;
  DiskModel disk;
  BuildModel build;
};

constexpr uint32_t scaled_pages(uint64_t full_bytes, uint32_t scale) {
  return static_cast<uint32_t>(full_bytes / kPageBytes / scale);
}
constexpr uint32_t scaled_mib(uint64_t full_mib, uint32_t scale) {
  return scaled_pages(full_mib * kMiB, scale);
}
constexpr uint32_t scaled_kib(uint64_t full_kib, uint32_t scale) {
  return scaled_pages(full_kib * kKiB, scale);
}

}  // namespace tmem::lab
