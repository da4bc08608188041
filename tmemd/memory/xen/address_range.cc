// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/memory/xen/address_range.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace tmem::memory::xen {
namespace {

constexpr size_t kBatchFrames = 512;

}  // namespace

AddressRange::~AddressRange() {
  if (base_ != nullptr) (void)munmap(base_, bytes_);
}

Result<AddressRange> AddressRange::reserve(size_t bytes, size_t alignment) {
  const size_t spare_bytes = alignment - kPageBytes;
  void* const range = mmap(nullptr, bytes + spare_bytes, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return fail_os("cannot reserve address space for the pool");
  auto* const start = static_cast<std::byte*>(range);
  const size_t head_bytes = -reinterpret_cast<uintptr_t>(start) % alignment;
  if (head_bytes != 0) (void)munmap(start, head_bytes);
  if (head_bytes != spare_bytes) (void)munmap(start + head_bytes + bytes, spare_bytes - head_bytes);
  return AddressRange(start + head_bytes, bytes);
}

Result<FrameMapping> FrameMapping::map(Hypervisor& hypervisor, DomId domain,
                                       std::span<const Frame> frames) {
  const size_t bytes = frames.size() * kPageBytes;
  TMEM_TRY(AddressRange range, AddressRange::reserve(bytes, kPageBytes));
  TMEM_CHECK(hypervisor.map(domain, frames, range.base()));
  return FrameMapping(hypervisor, std::move(range), bytes);
}

Result<void> zero_and_release(Hypervisor& hypervisor, DomId domain, std::span<const Frame> frames) {
  while (!frames.empty()) {
    const auto batch = frames.first(std::min(frames.size(), kBatchFrames));
    {
      TMEM_TRY(const FrameMapping mapping, FrameMapping::map(hypervisor, domain, batch));
      std::memset(mapping.bytes().data(), 0, mapping.bytes().size());
    }
    TMEM_CHECK(hypervisor.release(domain, batch));
    frames = frames.subspan(batch.size());
  }
  return {};
}

}  // namespace tmem::memory::xen
