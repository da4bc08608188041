// SPDX-License-Identifier: GPL-2.0-or-later
// The one disk of the host: seek, rotation, transfer; an elevator that prefers reads.
#pragma once
#include <cstdint>
#include <map>
#include <optional>

#include "tools/lab/guest_memory.h"

namespace tmem::lab {

class Disk {
 public:
  explicit Disk(const DiskModel& model) : model_(model) {}

  struct Job {
    DiskRequest request;
    uint32_t guest = 0;
    uint32_t process = 0;  // that waits for a read
  };

  void submit(const Job& job);
  // Starts the next request if the disk is idle and has one; returns how long it takes.
  std::optional<uint64_t> start();
  // Ends the request that start() began.
  Job finish();

  uint64_t requests() const { return requests_; }
  uint64_t busy_ns() const { return busy_ns_; }

 private:
  using Queue = std::multimap<uint64_t, Job>;  // by block
  Queue& choose();
  uint64_t service_ns(const DiskRequest& request) const;

  const DiskModel& model_;
  Queue reads_;
  Queue writes_;
  std::optional<Job> current_;
  uint64_t head_ = 0;
  uint32_t reads_in_row_ = 0;
  uint32_t writes_in_row_ = 0;
  uint64_t requests_ = 0;
  uint64_t busy_ns_ = 0;
};

}  // namespace tmem::lab
