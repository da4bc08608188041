// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/host_pool.h"

#include <algorithm>

namespace tmem::lab::policies {

HostPool::HostPool(const Scenario& scenario, const PoolConstants& constants, bool enabled)
    : enabled_(enabled),
      eviction_(constants.eviction),
      total_bytes_(scenario.host_pages * kPageBytes),
      head_room_bytes_(
          static_cast<uint64_t>(static_cast<double>(total_bytes_) * constants.head_room_ratio)),
      page_bytes_(static_cast<uint64_t>(kPageBytes / scenario.pool_ratio) +
                  constants.metadata_bytes) {
  for (const GuestScript& script : scenario.guests) {
    size_t chunks = 0;
    for (const Region& region : script.regions) chunks += region.chunks;
    guests_.push_back({script.weight,
                       {},
                       std::vector<uint32_t>(chunks),
                       std::vector<ChunkLink>(chunks),
                       std::vector<uint64_t>(chunks),
                       {}});
    guests_.back().use.has_client = enabled;
  }
  clients_.resize(guests_.size());
}

uint64_t HostPool::limit_bytes() const {
  const uint64_t room_bytes = free_bytes() + freeable_bytes();
  return persistent_bytes() + room_bytes - std::min(room_bytes, head_room_bytes_);
}

void HostPool::set_weights(std::span<const uint32_t> weights) {
  for (size_t i = 0; i < guests_.size(); ++i) guests_[i].weight = weights[i];
}

uint64_t HostPool::give(uint64_t pages) {
  evict_until_free(pages * kPageBytes, std::nullopt);
  const uint64_t given = std::min(pages, free_bytes() / kPageBytes);
  guests_bytes_ += given * kPageBytes;
  return given;
}

void HostPool::keep_head_room() {
  evict_until_free(head_room_bytes_, std::nullopt);
}

void HostPool::evict_until_free(uint64_t bytes, Requester requester) {
  while (free_bytes() < bytes && ephemeral_pages_ > 0) {
    const uint64_t missing = bytes - free_bytes();
    evict_oldest(guests_[victim(requester)], (missing + page_bytes_ - 1) / page_bytes_);
  }
}

uint64_t HostPool::make_room(uint32_t requester, uint64_t pages) {
  if (!enabled_) return 0;
  evict_until_free(head_room_bytes_ + pages * page_bytes_, requester);
  const uint64_t free = free_bytes();
  return free <= head_room_bytes_ ? 0 : std::min(pages, (free - head_room_bytes_) / page_bytes_);
}

// There is an ephemeral page.
policy::baselines::ClientIndex HostPool::victim(Requester requester) {
  for (size_t i = 0; i < guests_.size(); ++i) {
    const Guest& guest = guests_[i];
    clients_[i] = {guest.use.ephemeral_pages, guest.weight,
                   guest.fifo.empty() ? 0 : guest.put_number[guest.fifo.oldest()]};
  }
  switch (eviction_) {
    case Eviction::kDocumented:
      return *policy::baselines::victim_as_documented(clients_, requester);
    case Eviction::kShipped:
      return *policy::baselines::victim_as_shipped(clients_, requester);
    case Eviction::kOurs:
      break;
  }
  return *policy::baselines::victim_corrected(clients_);
}

uint32_t HostPool::evict_oldest(Guest& guest, uint64_t pages_max) {
  const uint32_t chunk = guest.fifo.oldest();
  const auto pages = static_cast<uint32_t>(std::min<uint64_t>(pages_max, guest.pages[chunk]));
  guest.pages[chunk] -= pages;
  if (guest.pages[chunk] == 0) guest.fifo.remove(guest.links, chunk);
  guest.use.ephemeral_pages -= pages;
  ephemeral_pages_ -= pages;
  recharge(guest);
  return pages;
}

uint32_t HostPool::put_ephemeral(uint32_t g, uint32_t chunk, uint32_t pages) {
  Guest& guest = guests_[g];
  const auto taken = static_cast<uint32_t>(make_room(g, pages));
  if (taken == 0) return 0;
  guest.use.ephemeral_puts += taken;
  // make_room() may have evicted the rest of this very chunk.
  if (guest.pages[chunk] == 0) {
    guest.fifo.add_newest(guest.links, chunk);
    guest.put_number[chunk] = ++puts_;
  }
  guest.pages[chunk] += taken;
  guest.use.ephemeral_pages += taken;
  ephemeral_pages_ += taken;
  recharge(guest);
  return taken;
}

uint32_t HostPool::put_persistent(uint32_t g, uint32_t chunk, uint32_t pages) {
  Guest& guest = guests_[g];
  const auto taken = static_cast<uint32_t>(make_room(g, pages));
  guest.use.persistent_puts += taken;
  guest.pages[chunk] += taken;
  guest.use.persistent_pages += taken;
  persistent_pages_ += taken;
  recharge(guest);
  return taken;
}

uint32_t HostPool::get_ephemeral(uint32_t g, uint32_t chunk, uint32_t wanted) {
  if (!enabled_) return 0;
  Guest& guest = guests_[g];
  const uint32_t hits = std::min(wanted, guest.pages[chunk]);
  guest.use.ephemeral_hits += hits;
  guest.use.ephemeral_misses += wanted - hits;
  if (hits > 0) {
    guest.pages[chunk] -= hits;
    if (guest.pages[chunk] == 0) guest.fifo.remove(guest.links, chunk);
    guest.use.ephemeral_pages -= hits;
    ephemeral_pages_ -= hits;
    recharge(guest);
  }
  return hits;
}

void HostPool::get_persistent(uint32_t g, uint32_t chunk, uint32_t pages) {
  Guest& guest = guests_[g];
  guest.use.persistent_gets += pages;
  guest.pages[chunk] -= pages;
  guest.use.persistent_pages -= pages;
  persistent_pages_ -= pages;
  recharge(guest);
}

void HostPool::flush_persistent(uint32_t g, uint32_t chunk) {
  Guest& guest = guests_[g];
  guest.use.persistent_pages -= guest.pages[chunk];
  persistent_pages_ -= guest.pages[chunk];
  guest.pages[chunk] = 0;
  recharge(guest);
}

void HostPool::recharge(Guest& guest) const {
  guest.use.charged_bytes = (guest.use.ephemeral_pages + guest.use.persistent_pages) * page_bytes_;
}

}  // namespace tmem::lab::policies
