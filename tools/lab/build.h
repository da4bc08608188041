// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest does in the experiment: for each round and each tree, `make clean`, then `make -j8`:
// compile every source; join each 16 objects by `ld -r` when they are there; link the program.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "tools/lab/contents.h"
#include "tools/lab/jobs.h"

namespace tmem::lab {

class Build {
 public:
  // Creates the files of the guest in `memory`; all arguments must outlive the build.
  Build(const Parameters& parameters, const BuildModel& model, uint32_t guest,
        const GuestFiles& files, GuestMemory& memory);

  struct Started {
    std::unique_ptr<Work> work;
    uint32_t id = 0;  // for ended()
  };

  // The next process to start; without work when there is none until another ends.
  Started next();
  void ended(uint32_t id);
  bool finished() const { return round_ == parameters_.rounds; }
  uint32_t jobs_done() const { return jobs_done_; }
  uint32_t jobs_total() const;

 private:
  struct Tree {
    std::vector<InodeId> sources;
    std::vector<InodeId> headers;
    std::vector<InodeId> outputs;  // of the last build: objects, archives, program
  };
  // Objects that one `ld -r` joins.
  struct Group {
    std::vector<InodeId> objects;
    uint64_t bytes = 0;
    uint32_t compiling = 0;
  };
  static constexpr uint32_t kLinkers = 1u << 30;  // ids of processes that are no compilers

  void clean();
  void end_build();
  uint32_t jobs() const { return static_cast<uint32_t>(files_.trees[tree_].jobs.size()); }
  InodeId create_output(uint64_t seed, uint64_t bytes);
  std::unique_ptr<Work> compile(uint32_t job);
  std::unique_ptr<Work> archive(const Group& group);
  std::unique_ptr<Work> link();

  const Parameters& parameters_;
  const BuildModel& model_;
  const uint32_t guest_;
  const GuestFiles& files_;
  GuestMemory& memory_;
  std::vector<InodeId> compiler_;
  std::vector<Tree> trees_;

  uint32_t round_ = 0;
  uint32_t tree_ = 0;
  uint32_t jobs_done_ = 0;
  // Of the build under way:
  bool started_ = false;
  uint32_t running_ = 0;
  uint32_t next_job_ = 0;
  bool linking_ = false;
  std::vector<Group> groups_;
  std::deque<uint32_t> complete_groups_;
  std::vector<InodeId> archives_;
  uint64_t archive_bytes_ = 0;
};

}  // namespace tmem::lab
