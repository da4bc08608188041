// SPDX-License-Identifier: LGPL-2.1-or-later
// Mapping owns a shared mapping of a whole memfd.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <span>
#include <utility>

#include "libtmem/base/result.h"

namespace tmem {

class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (base_ != nullptr) (void)::munmap(base_, bytes_);
  }

  static Result<Mapping> shared(int fd, size_t bytes) {
    void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) return fail_os("cannot map the shared memory");
    return Mapping(base, bytes);
  }

  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(base_), bytes_}; }

 private:
  Mapping(void* base, size_t bytes) : base_(base), bytes_(bytes) {}

  void* base_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace tmem
