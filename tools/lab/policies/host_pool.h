// SPDX-License-Identifier: GPL-2.0-or-later
// The host's memory and the pool in it. The pool holds what guests put, at a fixed size a page; it
// has what no guest has, but the head-room. Ephemeral pages go when memory is wanted: of the guest
// furthest above its share by weight, the oldest first. Persistent pages stay until their guest
// takes them.
// (Or by a rule of Xen's old tmem, policy/baselines/old_eviction.h, to compare.)
//
// Always: sum of the guests' memory + held <= total.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "policy/baselines/old_eviction.h"
#include "policy/estimate.h"
#include "tools/lab/policies/chunk_list.h"
#include "tools/lab/policies/constants.h"
#include "tools/lab/policies/scenario.h"

namespace tmem::lab::policies {

class HostPool {
 public:
  HostPool(const Scenario& scenario, const PoolConstants& constants, bool enabled);

  bool enabled() const { return enabled_; }
  uint64_t total_bytes() const { return total_bytes_; }
  uint64_t head_room_bytes() const { return head_room_bytes_; }
  uint64_t held_bytes() const { return (ephemeral_pages_ + persistent_pages_) * page_bytes_; }
  uint64_t freeable_bytes() const { return ephemeral_pages_ * page_bytes_; }
  uint64_t free_bytes() const { return total_bytes_ - guests_bytes_ - held_bytes(); }
  uint64_t guests_bytes() const { return guests_bytes_; }
  uint64_t persistent_bytes(uint32_t guest) const {
    return guests_[guest].use.persistent_pages * page_bytes_;
  }
  uint64_t persistent_bytes() const { return persistent_pages_ * page_bytes_; }
  // What it may hold of persistent pages at this moment, those that it has included.
  uint64_t limit_bytes() const;
  void set_weights(std::span<const uint32_t> weights);
  const policy::PoolUse& use(uint32_t guest) const { return guests_[guest].use; }
  uint32_t pages_of(uint32_t guest, uint32_t chunk) const { return guests_[guest].pages[chunk]; }

  // A guest's memory grows by up to `pages`, for which ephemeral pages go. How much it got.
  uint64_t give(uint64_t pages);
  void give_back(uint64_t pages) { guests_bytes_ -= pages * kPageBytes; }
  // Drops ephemeral pages until the head-room is free again, or none is left.
  void keep_head_room();

  // Each returns how many of the pages it took.
  uint32_t put_ephemeral(uint32_t guest, uint32_t chunk, uint32_t pages);
  uint32_t put_persistent(uint32_t guest, uint32_t chunk, uint32_t pages);
  // All that the pool has of a file's chunk; they leave it. `wanted`: how many were asked for.
  uint32_t get_ephemeral(uint32_t guest, uint32_t chunk, uint32_t wanted);
  void get_persistent(uint32_t guest, uint32_t chunk, uint32_t pages);  // got and flushed
  void flush_persistent(uint32_t guest, uint32_t chunk);

 private:
  struct Guest {
    uint32_t weight = 0;
    policy::PoolUse use;
    std::vector<uint32_t> pages;  // by chunk
    std::vector<ChunkLink> links;
    std::vector<uint64_t> put_number;  // by chunk: when its pages here began
    ChunkList fifo;                    // chunks of files with pages here
  };

  // Room for that many more pages, after eviction.
  uint64_t make_room(uint32_t requester, uint64_t pages);
  using Requester = std::optional<policy::baselines::ClientIndex>;
  void evict_until_free(uint64_t bytes, Requester requester);
  policy::baselines::ClientIndex victim(Requester requester);
  uint32_t evict_oldest(Guest& guest, uint64_t pages_max);
  void recharge(Guest& guest) const;

  const bool enabled_;
  const Eviction eviction_;
  const uint64_t total_bytes_;
  const uint64_t head_room_bytes_;
  const uint64_t page_bytes_;
  uint64_t guests_bytes_ = 0;
  uint64_t ephemeral_pages_ = 0;
  uint64_t persistent_pages_ = 0;
  uint64_t puts_ = 0;
  std::vector<Guest> guests_;
  std::vector<policy::baselines::EphemeralClient> clients_;  // as victim() shows them
};

}  // namespace tmem::lab::policies
