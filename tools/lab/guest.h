// SPDX-License-Identifier: GPL-2.0-or-later
// A simulated guest: its memory, its build, and one vCPU that runs its processes in turn.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "tools/lab/balloon.h"
#include "tools/lab/build.h"
#include "tools/lab/guest_memory.h"

namespace tmem::lab {

class Guest {
 public:
  // All arguments must outlive the guest; `store` is null for one without tmem.
  Guest(const Parameters& parameters, const Model& model, uint32_t number, Contents& contents,
        PageStore* store);

  // Connects the store and starts the processes.
  Result<void> start();

  struct Submitted {
    uint64_t at_ns = 0;  // since the slice began
    uint32_t process = 0;
    DiskRequest request;
  };
  struct Slept {
    uint32_t process = 0;
    uint64_t wake_at_ns = 0;
  };
  struct Slice {
    uint64_t used_ns = 0;
    uint64_t gets_hit = 0;
    std::vector<Submitted> requests;
    std::vector<Slept> slept;
  };

  bool runnable() const { return kernel_debt_ns_ > 0 || !run_queue_.empty(); }
  bool finished() const { return build_.finished(); }
  // Runs the vCPU for at most `budget_ns` from simulated time `now_ns` on.
  Slice run(uint64_t now_ns, uint64_t budget_ns);
  void read_done(uint32_t process);
  void write_done(uint32_t pages);
  void wake(uint32_t process) { run_queue_.push_back(process); }

  GuestMemory& memory() { return memory_; }
  const GuestMemory& memory() const { return memory_; }
  const Build& build() const { return build_; }
  uint64_t cpu_ns() const { return cpu_ns_; }
  BalloonInput balloon_input() const;
  SelfShrink& self_shrink() { return self_shrink_; }
  // After work of the kernel outside any process (write-back, balloon): its disk requests. Its CPU
  // time is paid in the next slices.
  std::vector<DiskRequest> take_kernel_effects();

 private:
  struct Process {
    std::unique_ptr<Work> work;
    uint32_t build_id = 0;
    uint64_t debt_ns = 0;  // CPU time to be used before the next step
    uint32_t reads_pending = 0;
    uint64_t sleep_ns = 0;
    bool done = false;
  };

  void start_processes();
  uint32_t add_process(std::unique_ptr<Work> work, uint32_t build_id);
  // True if the process stays runnable.
  bool run_step(uint32_t id, Slice& slice);
  void retire(uint32_t id);

  const Parameters& parameters_;
  const Model& model_;
  GuestMemory memory_;
  Build build_;
  SelfShrink self_shrink_;
  std::vector<Process> processes_;
  std::vector<uint32_t> free_processes_;
  std::deque<uint32_t> run_queue_;
  std::vector<uint32_t> throttled_;  // wait until fewer writes are pending
  uint32_t writes_pending_pages_ = 0;
  uint64_t kernel_debt_ns_ = 0;
  uint64_t cpu_ns_ = 0;
  uint64_t kernel_gets_hit_ = 0;
};

}  // namespace tmem::lab
