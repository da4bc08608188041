// SPDX-License-Identifier: GPL-2.0-or-later
// The disk that all guests share: queued work as a fluid,
// reads before writes, as Linux' mq-deadline prefers them.
#pragma once
#include <algorithm>

#include "tools/lab/policies/constants.h"

namespace tmem::lab::policies {

class SharedDisk {
 public:
  explicit SharedDisk(const DiskConstants& constants) : constants_(constants) {}

  // Writers have to wait: more than a tick of writes is queued.
  bool is_behind() const { return writes_us_ > kTickUs; }
  double throttle_us() const { return std::max(0.0, writes_us_ - kTickUs); }
  uint64_t pages_read() const { return pages_read_; }
  uint64_t pages_written() const { return pages_written_; }

  // How long one task waits that reads `pages`, one request of `cluster_pages` after the other.
  double read(uint32_t pages, uint32_t cluster_pages) {
    const double requests = (pages + cluster_pages - 1) / cluster_pages;
    const double transfer_us = pages * constants_.page_us;
    const double wait_us = reads_us_ + requests * constants_.latency_us + transfer_us;
    reads_us_ += std::max(transfer_us, requests * constants_.request_us);
    pages_read_ += pages;
    return wait_us;
  }

  // In large requests. Returns their own time; see throttle_us() for the queue's.
  double write(uint32_t pages) {
    const double transfer_us = pages * constants_.page_us + constants_.request_us;
    writes_us_ += transfer_us;
    pages_written_ += pages;
    return transfer_us;
  }

  // A tick's work is done: reads first.
  void end_tick() {
    const double left_us = std::max(0.0, kTickUs - reads_us_);
    reads_us_ = std::max(0.0, reads_us_ - kTickUs);
    writes_us_ = std::max(0.0, writes_us_ - left_us);
  }

 private:
  DiskConstants constants_;
  double reads_us_ = 0;   // queued
  double writes_us_ = 0;  // queued
  uint64_t pages_read_ = 0;
  uint64_t pages_written_ = 0;
};

}  // namespace tmem::lab::policies
