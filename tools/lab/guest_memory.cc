// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/guest_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tools/lab/balloon.h"

namespace tmem::lab {

GuestMemory::GuestMemory(const Parameters& parameters, const Model& model, uint32_t guest,
                         Contents& contents, PageStore* store)
    : parameters_(parameters),
      model_(model),
      guest_(guest),
      contents_(contents),
      store_(store),
      frames_(scaled_mib(model.guest.memory_max_mib, parameters.scale),
              scaled_mib(model.guest.memory_mib, parameters.scale)),
      swap_(scaled_mib(model.guest.swap_mib, parameters.scale)),
      next_block_(guest * model.disk.partition_pages),
      swap_block_(guest * model.disk.partition_pages + model.disk.partition_pages * 9 / 10) {
  // The high watermark is 3/2 of the minimum, the low one 5/4 (setup_per_zone_wmarks).
  high_ = static_cast<uint32_t>(total_reserve_pages(frames_.present(), parameters.scale));
  low_ = high_ * 5 / 6;
}

Result<void> GuestMemory::connect(uint32_t file_systems) {
  if (store_ == nullptr) return {};
  for (uint32_t fs = 0; fs < file_systems; ++fs) TMEM_CHECK(store_->create_pool(fs, false));
  return store_->create_pool(kFrontswapPool, true);
}

FrameId GuestMemory::allocate() {
  if (frames_.free() <= low_) reclaim_to(high_);
  const FrameId id = frames_.take();
  if (id == kNoFrame) {
    fail_run(fmt::format("guest {} is out of memory: {} pages, {} of {} swap slots used", guest_,
                         frames_.present(), swap_.used(), swap_.size()));
  }
  return id;
}

void GuestMemory::fail_run(std::string what) {
  if (!failure_) failure_ = std::move(what);
}

// Runs `ops`. Flushes need no answer: they wait, and go first with the next operations that do.
void GuestMemory::run(std::vector<PageOp>& ops) {
  if (ops.empty() || store_ == nullptr || failure_) return;
  for (const PageOp& op : ops) charge(op);
  const size_t flushes = flushes_.size();
  flushes_.insert(flushes_.end(), ops.begin(), ops.end());
  constexpr size_t kFlushesMax = 128;
  const bool only_flushes = std::ranges::all_of(ops, [](const PageOp& op) {
    return op.op == StoreOp::kFlushPage || op.op == StoreOp::kFlushObject;
  });
  if (only_flushes && flushes_.size() < kFlushesMax) return;
  if (const auto done = store_->run(flushes_); done) {
    for (size_t i = 0; i < ops.size(); ++i) {
      ops[i].ok = flushes_[flushes + i].ok;
      effects_.gets_hit += ops[i].op == StoreOp::kGet && ops[i].ok ? 1 : 0;
    }
  } else {
    fail_run(done.error().message);
  }
  flushes_.clear();
}

void GuestMemory::send_flushes() {
  if (flushes_.empty() || failure_) return;
  if (const auto done = store_->run(flushes_); !done) fail_run(done.error().message);
  flushes_.clear();
}

void GuestMemory::charge(const PageOp& op) {
  switch (op.op) {
    case StoreOp::kPut:
      effects_.cpu_ns += model_.cost.put_ns;
      return;
    case StoreOp::kGet:
      effects_.cpu_ns += model_.cost.get_ns;
      return;
    case StoreOp::kFlushPage:
    case StoreOp::kFlushObject:
      effects_.cpu_ns += model_.cost.flush_ns;
      ++counters_.flushes;
      return;
  }
}

// One request for each run of neighbouring blocks, at most a readahead window long.
void GuestMemory::request_blocks(std::vector<uint64_t>& blocks, bool write) {
  std::ranges::sort(blocks);
  (write ? counters_.sectors_written : counters_.sectors_read) += blocks.size() * kSectorsPerPage;
  for (const uint64_t block : blocks) {
    auto& all = effects_.requests;
    if (!all.empty() && all.back().write == write && all.back().block + all.back().pages == block &&
        all.back().pages < model_.guest.readahead_pages) {
      ++all.back().pages;
    } else {
      all.push_back({block, 1, write});
      effects_.cpu_ns += model_.cost.disk_guest_ns;
    }
  }
  blocks.clear();
}

Effects GuestMemory::take_effects() {
  return std::exchange(effects_, {});
}

uint32_t GuestMemory::inflate(uint32_t pages) {
  constexpr uint32_t kChunk = 64;
  uint32_t given = 0;
  while (given < pages && !failure_) {
    const uint32_t chunk = std::min(pages - given, kChunk);
    if (frames_.free() < chunk + low_) reclaim_to(chunk + high_);
    // The balloon does not touch what the guest keeps for itself.
    if (frames_.free() <= low_) break;
    given += frames_.balloon_out(std::min(chunk, frames_.free() - low_));
  }
  return given;
}

void GuestMemory::deflate(uint32_t pages) {
  frames_.balloon_in(pages);
}

}  // namespace tmem::lab
