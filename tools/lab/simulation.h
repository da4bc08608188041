// SPDX-License-Identifier: GPL-2.0-or-later
// One run of one configuration: events in simulated time. Guests compete for the host's cores and
// for one disk; what they put and get goes to the page stores in the order of the events, which
// depends on nothing but parameters and files.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <vector>

#include "tools/lab/disk.h"
#include "tools/lab/guest.h"
#include "tools/lab/host_memory.h"
#include "tools/lab/page_store.h"

namespace tmem::lab {

struct RunResult {
  GuestCounters counters;  // of all guests
  uint64_t hits = 0;       // gets answered from the pool, both kinds
  uint64_t wall_ns = 0;    // until the last guest has finished
  uint64_t vcpu_ns = 0;    // of guests and dom0
  uint64_t dom0_ns = 0;    // the part of dom0
  uint64_t disk_busy_ns = 0;
  uint64_t host_memory_bytes = 0;
  uint64_t ballooned_bytes_peak = 0;  // what the guests had given up at most
  PoolStats at_peak;                  // when the pool appeared largest
  uint64_t real_bytes_peak = 0;
  uint64_t apparent_bytes_peak = 0;
  uint64_t evicted_pages = 0;
  std::vector<uint64_t> guest_wall_ns;
};

class Simulation {
 public:
  struct Setup {
    bool self_ballooning = false;
    std::vector<PageStore*> stores;  // one a guest; empty without tmem
    PoolHost* pool = nullptr;
  };

  Simulation(const Parameters& parameters, const Model& model, Contents& contents,
             const Setup& setup);

  // Called now and then with the part that is done, 0 .. 1; false ends the run.
  using Progress = std::function<bool(double)>;
  // Errors: kConflict for a wrong byte, a lost page or exceeded memory; kOs when the daemon or a
  // file failed; kDenied when `progress` ended the run.
  Result<RunResult> run(const Progress& progress);

 private:
  enum class Kind : uint8_t { kSliceEnd, kSubmit, kDiskDone, kWake, kBalloon, kWriteBack, kStep };
  struct Event {
    uint64_t at_ns = 0;
    uint64_t order = 0;  // of two at one time the older first
    Kind kind = Kind::kStep;
    uint32_t guest = 0;
    uint32_t process = 0;
    DiskRequest request{};
    bool operator>(const Event& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : order > other.order;
    }
  };
  // A guest's vCPU, or dom0's (the last one).
  struct Vcpu {
    bool queued = false;
    bool running = false;
  };

  void schedule(uint64_t in_ns, Event event);
  void schedule_start();
  Result<void> handle(const Event& event);
  Result<void> balloon(uint32_t guest);
  Result<void> step();
  void note(const PoolStats& stats);
  void submit_kernel_writes(uint32_t guest);
  void start_disk();
  void disk_done();
  void make_ready(uint32_t vcpu);
  bool runnable(uint32_t vcpu) const;
  void dispatch();
  void run_guest(uint32_t guest);
  void note_finished(uint32_t guest);
  bool all_finished() const;
  double done() const;
  Result<RunResult> result() const;
  uint32_t dom0() const { return model_.host.guests; }

  const Parameters& parameters_;
  const Model& model_;
  const Setup setup_;
  std::vector<std::unique_ptr<Guest>> guests_;
  HostMemory host_;
  Disk disk_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t order_ = 0;
  uint64_t now_ns_ = 0;
  std::vector<Vcpu> vcpus_;
  std::deque<uint32_t> ready_;
  uint32_t idle_cores_;
  uint64_t dom0_debt_ns_ = 0;
  PoolStats last_stats_;
  RunResult result_;
};

}  // namespace tmem::lab
