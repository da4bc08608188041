// SPDX-License-Identifier: GPL-2.0-or-later
// How pages come into a guest's memory and leave it: faults, reclaim, balloon.
#include <algorithm>
#include <cmath>

#include "tools/lab/policies/sim_guest.h"

namespace tmem::lab::policies {

uint64_t SimGuest::watermark_pages() const {
  return static_cast<uint64_t>(static_cast<double>(actual_pages_) *
                               constants_.guest.watermark_ratio);
}

uint64_t SimGuest::swapped_pages() const {
  return allocated_anon_pages_ - resident_pages_[0];
}

void SimGuest::list_newest(uint32_t c) {
  (chunks_[c].is_active ? active_ : inactive_).add_newest(links_, c);
}
void SimGuest::unlist(uint32_t c) {
  (chunks_[c].is_active ? active_ : inactive_).remove(links_, c);
}

uint32_t SimGuest::coldest() const {
  return inactive_.empty() ? active_.oldest() : inactive_.oldest();
}

void SimGuest::make_resident(uint32_t c, uint32_t pages) {
  Chunk& chunk = chunks_[c];
  if (chunk.resident == 0) list_newest(c);
  chunk.resident += pages;
  resident_pages_[static_cast<size_t>(chunk.kind)] += pages;
  free_pages_ -= pages;
}

bool SimGuest::fault_in(uint32_t c, uint32_t wanted, double& stall_us) {
  if (free_pages_ < wanted) evict(wanted - free_pages_, stall_us);
  const auto pages = static_cast<uint32_t>(std::min<uint64_t>(wanted, free_pages_));
  if (pages == 0) return false;
  stall_us += chunks_[c].kind == Kind::kAnon ? read_anon(c, pages) : read_file(c, pages);
  make_resident(c, pages);
  return pages == wanted;
}

void SimGuest::get_from_pool(uint32_t c, uint32_t pages) {
  pool_.get_persistent(id_, c, pages);
  chunks_[c].is_marked = false;
}

// From the pool first, then from the disk; the rest is new and zeroed.
double SimGuest::read_anon(uint32_t c, uint32_t pages) {
  Chunk& chunk = chunks_[c];
  const uint32_t pooled = std::min(pages, pool_.pages_of(id_, c));
  const uint32_t swapped = std::min(pages - pooled, chunk.swapped);
  const uint32_t cluster = constants_.guest.anon_cluster_pages;
  double us = (pooled + swapped) * constants_.guest.fault_page_us;
  if (pooled > 0) {
    get_from_pool(c, pooled);
    us += std::ceil(pooled / double(cluster)) * constants_.pool.round_trip_us +
          pooled * constants_.pool.get_page_us;
  }
  if (swapped > 0) us += disk_.read(swapped, cluster);
  chunk.swapped -= swapped;
  allocated_anon_pages_ += pages - pooled - swapped;
  counters_.swap_in_pages += pooled + swapped;
  counters_.disk_read_pages += swapped;
  return us;
}

// What the pool has, the rest from the disk. The first read of a file is no memory stall, as for
// the kernel: nothing had been evicted.
double SimGuest::read_file(uint32_t c, uint32_t pages) {
  Chunk& chunk = chunks_[c];
  const uint32_t cluster = constants_.guest.file_cluster_pages;
  if (!chunk.was_read) {
    chunk.was_read = pages == kChunkPages - chunk.resident;
    disk_.read(pages, cluster);
    return 0;
  }
  const uint32_t hits = pool_.get_ephemeral(id_, c, pages);
  const uint32_t missing = pages - hits;
  double us = pages * constants_.guest.fault_page_us;
  if (hits > 0)
    us += std::ceil(hits / double(cluster)) * constants_.pool.round_trip_us +
          hits * constants_.pool.get_page_us;
  if (missing > 0) us += disk_.read(missing, cluster);
  counters_.refault_pages += pages;
  counters_.disk_read_pages += missing;
  return us;
}

// Mostly the coldest; now and then a chunk that was only thought to be cold.
uint64_t SimGuest::evict(uint64_t pages, double& wait_us) {
  const uint64_t written_before = disk_.pages_written();
  uint64_t done = 0;
  while (done < pages) {
    const uint32_t cold = coldest();
    if (cold == kNoChunk) break;
    const auto some = static_cast<uint32_t>(std::min<uint64_t>(pages - done, kChunkPages));
    const auto wrong = static_cast<uint32_t>(some * constants_.guest.lru_error_ratio);
    const uint32_t other = rng_.below(static_cast<uint32_t>(chunks_.size()));
    uint32_t freed = 0;
    if (wrong > 0 && chunks_[other].resident > 0) freed = evict_from(other, wrong, wait_us);
    if (other != cold || chunks_[cold].resident > 0)
      freed += evict_from(cold, some - freed, wait_us);
    done += freed;
  }
  if (disk_.pages_written() > written_before) wait_us += disk_.throttle_us();
  return done;
}

uint32_t SimGuest::evict_from(uint32_t c, uint32_t pages, double& wait_us) {
  Chunk& chunk = chunks_[c];
  pages = std::min(pages, chunk.resident);
  wait_us += pages * constants_.guest.scan_page_us;
  if (chunk.kind == Kind::kAnon) {
    evict_anon(c, pages, wait_us);
  } else if (pool_.enabled()) {
    const uint32_t taken = pool_.put_ephemeral(id_, c, pages);
    wait_us += taken * constants_.pool.put_page_us;
  }
  chunk.resident -= pages;
  if (chunk.resident == 0) unlist(c);
  resident_pages_[static_cast<size_t>(chunk.kind)] -= pages;
  free_pages_ += pages;
  return pages;
}

// To the pool while it has room; else to the disk.
void SimGuest::evict_anon(uint32_t c, uint32_t pages, double& wait_us) {
  const uint32_t pooled = pool_.put_persistent(id_, c, pages);
  counters_.swap_out_pages += pages;
  wait_us += pooled * constants_.pool.put_page_us;
  if (pooled > 0) chunks_[c].is_marked = false;
  const uint32_t written = pages - pooled;
  chunks_[c].swapped += written;
  if (written > 0) wait_us += disk_.write(written);
}

// kswapd and the balloon's reclaim: nobody waits for it, but it is only so fast, and it does not
// write to a disk that is behind.
void SimGuest::background_reclaim(uint64_t free_wanted_pages) {
  double nobody_waits = 0;
  while (free_pages_ < free_wanted_pages && reclaim_budget_pages_ >= 1) {
    const uint32_t cold = coldest();
    if (cold == kNoChunk) return;
    if (disk_.is_behind() && chunks_[cold].kind == Kind::kAnon) return;
    const uint64_t pages =
        std::min({free_wanted_pages - free_pages_, static_cast<uint64_t>(reclaim_budget_pages_),
                  uint64_t{kChunkPages}});
    reclaim_budget_pages_ -= static_cast<double>(evict(pages, nobody_waits));
  }
}

void SimGuest::begin_tick() {
  reclaim_budget_pages_ = pages_per_tick(constants_.guest.kswapd_mib_s);
}

void SimGuest::deflate(uint64_t target_pages) {
  target_pages = std::min(target_pages, script_.max_pages);
  if (target_pages <= actual_pages_) return;
  const auto fastest = static_cast<uint64_t>(pages_per_tick(constants_.balloon.up_mib_s));
  const uint64_t given = pool_.give(std::min(target_pages - actual_pages_, fastest));
  actual_pages_ += given;
  free_pages_ += given;
}

void SimGuest::inflate(uint64_t target_pages) {
  if (target_pages >= actual_pages_) return;
  const auto fastest = static_cast<uint64_t>(pages_per_tick(constants_.balloon.down_mib_s));
  const uint64_t wanted = std::min(actual_pages_ - target_pages, fastest);
  background_reclaim(wanted + watermark_pages());
  const uint64_t spare = free_pages_ - std::min(free_pages_, watermark_pages());
  const uint64_t taken = std::min(wanted, spare);
  actual_pages_ -= taken;
  free_pages_ -= taken;
  pool_.give_back(taken);
}

uint64_t SimGuest::bring_back(uint64_t pages) {
  background_reclaim(pages + watermark_pages());
  const uint64_t spare = free_pages_ - std::min(free_pages_, watermark_pages());
  uint64_t wanted = std::min(pages, spare);
  const uint64_t all = wanted;
  for (uint32_t looked = 0; wanted > 0 && looked < chunks_.size(); ++looked) {
    const uint32_t c = back_at_;
    Chunk& chunk = chunks_[c];
    const auto some =
        chunk.kind == Kind::kAnon
            ? static_cast<uint32_t>(std::min<uint64_t>(wanted, pool_.pages_of(id_, c)))
            : 0;
    if (some > 0) {
      get_from_pool(c, some);
      if (chunk.resident == 0) chunk.is_active = true;
      make_resident(c, some);
      wanted -= some;
    }
    if (wanted > 0) back_at_ = (back_at_ + 1) % static_cast<uint32_t>(chunks_.size());
  }
  return all - wanted;
}

}  // namespace tmem::lab::policies
