// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/disk.h"

#include <cmath>
#include <utility>

#include "libtmem/base/assert.h"

namespace tmem::lab {

void Disk::submit(const Job& job) {
  (job.request.write ? writes_ : reads_).emplace(job.request.block, job);
}

// Reads first, but after read_batch of them write_batch of the waiting writes.
Disk::Queue& Disk::choose() {
  if (reads_.empty()) return writes_;
  if (writes_.empty() || reads_in_row_ < model_.read_batch) return reads_;
  if (writes_in_row_ < model_.write_batch) return writes_;
  reads_in_row_ = writes_in_row_ = 0;
  return reads_;
}

std::optional<uint64_t> Disk::start() {
  if (current_ || (reads_.empty() && writes_.empty())) return std::nullopt;
  Queue& queue = choose();
  auto next = queue.lower_bound(head_);
  if (next == queue.end()) next = queue.begin();
  current_ = next->second;
  queue.erase(next);
  ++(current_->request.write ? writes_in_row_ : reads_in_row_);
  const uint64_t service = service_ns(current_->request);
  head_ = current_->request.block + current_->request.pages;
  ++requests_;
  busy_ns_ += service;
  return service;
}

uint64_t Disk::service_ns(const DiskRequest& request) const {
  const uint64_t transfer = request.pages * model_.page_ns;
  const uint64_t distance = request.block > head_ ? request.block - head_ : head_ - request.block;
  if (distance == 0) return transfer;
  const double part = static_cast<double>(distance) / static_cast<double>(model_.size_pages);
  const auto seek =
      static_cast<uint64_t>(static_cast<double>(model_.seek_span_ns) * std::sqrt(part));
  return model_.seek_min_ns + seek + model_.rotation_ns + transfer;
}

Disk::Job Disk::finish() {
  TMEM_ASSERT(current_.has_value());
  return *std::exchange(current_, std::nullopt);
}

}  // namespace tmem::lab
