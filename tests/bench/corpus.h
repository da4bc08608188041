// SPDX-License-Identifier: GPL-2.0-or-later
// A corpus in memory, and what an ideal store would make of each page.
#pragma once
#include <string>
#include <vector>

#include "libtmem/base/result.h"
#include "tests/bench/measure.h"

namespace tmem::bench {

// A page that LZ4 makes no smaller than this is kept as it is, in the references.
inline constexpr uint32_t kIncompressibleBytes = 3968;

class Corpus {
 public:
  // Reads a file of raw pages. Errors: kNotFound, kMalformed for a size that is no multiple of 4
  // KiB.
  static Result<Corpus> load(const std::string& path);

  const std::string& name() const { return name_; }
  size_t pages() const { return memory_.pages(); }
  std::span<const std::byte, kPageBytes> page(size_t i) const { return memory_.page(i); }

  bool same_filled(size_t i) const { return facts_[i].same_filled; }
  bool zero(size_t i) const { return facts_[i].zero; }
  // The first page with the same bytes as page i.
  uint32_t first_equal(size_t i) const { return facts_[i].first_equal; }
  // What page i takes with LZ4, at most 4096.
  uint32_t lz4_bytes(size_t i) const { return facts_[i].lz4_bytes; }

  // First occurrences that are not same-filled, by compressibility, in a fixed random order.
  const std::vector<uint32_t>& compressible() const { return compressible_; }
  const std::vector<uint32_t>& incompressible() const { return incompressible_; }

 private:
  struct Facts {
    bool same_filled = false;
    bool zero = false;
    uint32_t first_equal = 0;
    uint32_t lz4_bytes = 0;
  };
  void examine();

  std::string name_;
  Buffer memory_;
  std::vector<Facts> facts_;
  std::vector<uint32_t> compressible_;
  std::vector<uint32_t> incompressible_;
};

}  // namespace tmem::bench
