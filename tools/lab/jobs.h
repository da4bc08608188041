// SPDX-License-Identifier: GPL-2.0-or-later
// The processes of a simulated guest: compiler, linker, make clean, and the guest's daemons.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "tools/lab/guest_memory.h"
#include "tools/lab/rng.h"

namespace tmem::lab {

struct StepResult {
  uint64_t cpu_ns = 0;    // used by the process itself
  uint64_t sleep_ns = 0;  // then it waits
  bool done = false;
};

// A process. It runs in steps; what a step reads must be there before the process goes on.
class Work {
 public:
  virtual ~Work() = default;
  virtual StepResult step(GuestMemory& memory) = 0;
};

// Files that a job reads, and the file it creates.
struct JobInput {
  std::vector<InodeId> compiler;  // programs and libraries
  std::vector<InodeId> headers;   // of the tree
  InodeId source = 0;
  InodeId output = 0;  // created, and empty in the page cache
};

// A compiler: its heap grows with each unit; it reads source and headers in the first two thirds,
// touches its heap (recent pages more often) and its own programs all the time, and writes the
// object in the last units.
std::unique_ptr<Work> compile_job(const Parameters& parameters, const BuildModel& build,
                                  JobInput input, uint64_t seed);

// ld: reads all inputs once, writes the output.
std::unique_ptr<Work> link_job(const BuildModel& build, std::vector<InodeId> compiler,
                               std::vector<InodeId> inputs, InodeId output, uint32_t heap_pages);

// Daemons of the guest: touch a twentieth of their memory each second, for ever.
std::unique_ptr<Work> system_load(const Parameters& parameters, const BuildModel& build,
                                  uint64_t seed);

}  // namespace tmem::lab
