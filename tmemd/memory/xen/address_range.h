// SPDX-License-Identifier: GPL-2.0-or-later
// AddressRange owns a piece of our address space that nothing else is placed in; FrameMapping owns
// frames of a domain mapped in such a piece.
#pragma once
#include <cstddef>
#include <span>
#include <utility>

#include "libtmem/base/result.h"
#include "tmemd/memory/xen/hypervisor.h"

namespace tmem::memory::xen {

class AddressRange {
 public:
  AddressRange() = default;
  AddressRange(AddressRange&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  AddressRange& operator=(AddressRange&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;
  // Whatever is mapped in the range ends with it.
  ~AddressRange();

  // Inaccessible and without memory. `alignment`: a multiple of a page.
  static Result<AddressRange> reserve(size_t bytes, size_t alignment);

  std::byte* base() const { return base_; }

 private:
  AddressRange(std::byte* base, size_t bytes) : base_(base), bytes_(bytes) {}

  std::byte* base_ = nullptr;
  size_t bytes_ = 0;
};

// The hypervisor must outlive it.
class FrameMapping {
 public:
  static Result<FrameMapping> map(Hypervisor& hypervisor, DomId domain,
                                  std::span<const Frame> frames);
  FrameMapping(FrameMapping&& other) noexcept
      : hypervisor_(other.hypervisor_),
        range_(std::move(other.range_)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  FrameMapping& operator=(FrameMapping&&) = delete;
  FrameMapping(const FrameMapping&) = delete;
  FrameMapping& operator=(const FrameMapping&) = delete;
  ~FrameMapping() {
    if (bytes_ != 0) (void)hypervisor_->unmap(range_.base(), bytes_);
  }

  std::span<std::byte> bytes() const { return {range_.base(), bytes_}; }

 private:
  FrameMapping(Hypervisor& hypervisor, AddressRange range, size_t bytes)
      : hypervisor_(&hypervisor), range_(std::move(range)), bytes_(bytes) {}

  Hypervisor* hypervisor_;
  AddressRange range_;
  size_t bytes_ = 0;
};

// Zeroes frames that are mapped nowhere and gives them back to Xen.
Result<void> zero_and_release(Hypervisor& hypervisor, DomId domain, std::span<const Frame> frames);

}  // namespace tmem::memory::xen
