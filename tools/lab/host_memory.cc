// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/host_memory.h"

#include <fmt/format.h>

#include <algorithm>

namespace tmem::lab {
namespace {
// The smallest budget that tmemd accepts.
constexpr uint64_t kPoolBytesMin = 4 * kMiB;
}  // namespace

HostMemory::HostMemory(const Parameters& parameters, const Model& model,
                       const std::vector<std::unique_ptr<Guest>>& guests, PoolHost* pool)
    : parameters_(parameters),
      model_(model),
      guests_(guests),
      pool_(pool),
      total_pages_(model.host.guests * scaled_mib(model.guest.memory_mib, parameters.scale) +
                   scaled_mib(model.host.fallow_mib, parameters.scale)) {}

uint64_t HostMemory::guests_bytes() const {
  uint64_t pages = 0;
  for (const auto& guest : guests_) pages += guest->memory().present();
  return pages * kPageBytes;
}

Result<void> HostMemory::start() {
  if (pool_ == nullptr) return {};
  return pool_->set_budget(rest_bytes());
}

Result<void> HostMemory::balloon(Guest& guest) {
  GuestMemory& memory = guest.memory();
  const uint64_t target = balloon_target(guest.balloon_input(), model_.balloon, parameters_.scale);
  if (target < memory.present()) {
    memory.inflate(static_cast<uint32_t>(memory.present() - target));
    if (pool_ != nullptr) TMEM_CHECK(pool_->set_budget(rest_bytes()));
  } else if (target > memory.present()) {
    TMEM_CHECK(grow(guest, static_cast<uint32_t>(target - memory.present())));
  }
  const uint32_t frontswap = memory.frontswap_pages();
  const uint64_t keep = guest.self_shrink().target(frontswap);
  if (keep < frontswap) memory.shrink_frontswap(static_cast<uint32_t>(keep));
  return {};
}

Result<void> HostMemory::grow(Guest& guest, uint32_t pages) {
  const uint64_t least = pool_ == nullptr ? 0 : kPoolBytesMin;
  const uint64_t spare = rest_bytes() > least ? rest_bytes() - least : 0;
  uint32_t granted = std::min(pages, static_cast<uint32_t>(spare / kPageBytes));
  if (pool_ != nullptr) {
    TMEM_TRY(granted, take_from_pool(granted));
  }
  guest.memory().deflate(granted);
  return {};
}

Result<uint32_t> HostMemory::take_from_pool(uint32_t pages) {
  // Pages of frontswap cannot be dropped: then the guest gets less, and asks again next time.
  for (; pages > 0; pages /= 2) {
    const auto shrunk = pool_->set_budget(rest_bytes() - uint64_t{pages} * kPageBytes);
    if (!shrunk && shrunk.error().code != Errc::kNoSpace)
      return tl::make_unexpected(shrunk.error());
    if (!shrunk) continue;
    TMEM_CHECK(pool_->advance(0));
    TMEM_TRY(const PoolStats stats, pool_->stats());
    const uint64_t free = rest_bytes() - std::min(rest_bytes(), stats.held_bytes);
    const auto got = static_cast<uint32_t>(std::min<uint64_t>(pages, free / kPageBytes));
    if (got < pages) TMEM_CHECK(pool_->set_budget(rest_bytes() - uint64_t{got} * kPageBytes));
    return got;
  }
  TMEM_CHECK(pool_->set_budget(rest_bytes()));
  return 0;
}

Result<void> HostMemory::check(const PoolStats& pool) const {
  if (guests_bytes() + pool.held_bytes <= total_bytes()) return {};
  return fail(Errc::kConflict,
              fmt::format("the pool holds {} KiB, but the guests left it only {} KiB: the daemon "
                          "exceeded its budget",
                          pool.held_bytes / kKiB, rest_bytes() / kKiB));
}

}  // namespace tmem::lab
