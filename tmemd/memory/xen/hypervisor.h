// SPDX-License-Identifier: GPL-2.0-or-later
// What the pool domain needs of Xen, without Xen's headers: native.h has the real thing, tests have
// fakes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "libtmem/base/result.h"
#include "libtmem/base/units.h"

namespace tmem::memory::xen {

// The number of a page of the machine's memory.
enum class Frame : uint64_t {};

struct HostMemoryInfo {
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t claimed_bytes = 0;  // of the free memory: promised to domains that are being built

  uint64_t available_bytes() const {
    return free_bytes - (claimed_bytes < free_bytes ? claimed_bytes : free_bytes);
  }
};

// Thread safety: any thread. One cheap hypercall.
class HostMemory {
 public:
  virtual ~HostMemory() = default;
  virtual Result<HostMemoryInfo> read() const = 0;
};

// Domains without a vCPU that own memory, and their memory in our address space.
// Thread safety: any thread, on different memory.
class Hypervisor {
 public:
  virtual ~Hypervisor() = default;

  // The living domain with this handle that create() made; no guest that has the same.
  virtual Result<std::optional<DomId>> find(const Uuid& handle) = 0;
  virtual Result<DomId> create(const Uuid& handle) = 0;
  // Its memory is Xen's again, scrubbed, once nobody has it mapped.
  virtual Result<void> destroy(DomId domain) = 0;
  // Whether this domain exists, has this handle and is not dying. Cheap.
  virtual Result<bool> is_alive(DomId domain, const Uuid& handle) = 0;

  virtual Result<void> set_pages_max(DomId domain, uint64_t pages) = 0;
  virtual Result<uint64_t> owned_pages(DomId domain) = 0;
  // Looks at each frame of the machine: slow.
  virtual Result<std::vector<Frame>> owned_frames(DomId domain) = 0;
  // Frames of this machine have lower numbers.
  virtual Result<uint64_t> frames_end() = 0;

  // One word that Xen keeps with the domain; frame 0 when nobody has set it.
  virtual Result<Frame> root(DomId domain) = 0;
  virtual Result<void> set_root(DomId domain, Frame root) = 0;

  // 2 MiB of contiguous memory, aligned, contents undefined; its first frame.
  // Errors: kNoSpace when Xen has no such extent.
  virtual Result<Frame> populate_extent(DomId domain) = 0;
  // As many single pages as Xen has, at most frames.size(): the first ones of `frames`.
  virtual Result<size_t> populate_pages(DomId domain, std::span<Frame> frames) = 0;
  // Frames that are mapped nowhere are Xen's at once, contents unchanged: zero them first.
  virtual Result<void> release(DomId domain, std::span<const Frame> frames) = 0;

  // Replaces the reserved address range at `place` by these frames, readable and writable.
  // All or none. Errors: kConflict when a frame is not the domain's; kOs.
  virtual Result<void> map(DomId domain, std::span<const Frame> frames, std::byte* place) = 0;
  // The reverse, for all of one mapping: the range stays reserved.
  virtual Result<void> unmap(std::byte* place, size_t bytes) = 0;
};

// Xen tells that free memory has run low: at 64 MiB by default, then at each halving.
class LowMemoryEvent {
 public:
  virtual ~LowMemoryEvent() = default;
  virtual int fd() const = 0;      // readable: it has happened
  virtual void acknowledge() = 0;  // before looking at the free memory; never blocks
};

}  // namespace tmem::memory::xen
