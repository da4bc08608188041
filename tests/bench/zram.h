// SPDX-License-Identifier: GPL-2.0-or-later
// A zram device of our own with LZ4, for the time of a comparison. Needs root and the zram module.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "libtmem/base/result.h"

namespace tmem::bench {

class Zram {
 public:
  // Errors: kDenied without root, kNotFound without zram or without LZ4 in it, kOs.
  static Result<std::unique_ptr<Zram>> create(uint64_t bytes);
  ~Zram();  // empties and removes the device
  Zram(const Zram&) = delete;
  Zram& operator=(const Zram&) = delete;

  // Page-aligned bytes from the device's start on, past the page cache.
  Result<void> write(std::span<const std::byte> bytes);
  // Memory that it takes for contents (mm_stat's mem_used_total) and for its table of pages.
  Result<uint64_t> used_bytes() const;

 private:
  Zram(int number, uint64_t bytes) : number_(number), bytes_(bytes) {}
  std::string attribute(const char* name) const;

  const int number_;
  const uint64_t bytes_;
};

}  // namespace tmem::bench
