// SPDX-License-Identifier: GPL-2.0-or-later
// The references: the least that a put or get must do, with the same libraries and flags as ours.
//   S  put:     same-filled test + XXH3-128 + LZ4
//   H  put:     same-filled test + XXH3-128
//   D  get:     LZ4 decompress, blobs at random in a full arena of 4 KiB mappings
//   V  put of a duplicate: H + decompress the twin + compare
//   M  memcpy of a page, source cold, destination hot
#pragma once
#include <xxhash.h>

#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "tests/bench/corpus.h"
#include "tests/bench/measure.h"

namespace tmem::bench {

using Page = std::span<const std::byte, kPageBytes>;

inline bool is_same_filled(Page page) {
  uint64_t first = 0;
  uint64_t second = 0;
  std::memcpy(&first, page.data(), 8);
  std::memcpy(&second, page.data() + 8, 8);
  return first == second && std::memcmp(page.data(), page.data() + 8, kPageBytes - 8) == 0;
}

inline void reference_h(Page page) {
  if (is_same_filled(page)) return;
  keep(XXH3_128bits(page.data(), page.size()));
}

// Scratch of S and V, of one thread.
class Codec {
 public:
  // H, then LZ4 into a hot buffer. Returns its bytes.
  int reference_s(Page page);
  int compress(Page page);
  void decompress(std::span<const std::byte> blob);
  Page output() const { return Page(out_.data(), kPageBytes); }

 private:
  std::array<std::byte, kPageBytes + 64> out_{};
  std::array<char, 2 * kPageBytes> compressed_{};
  friend class BlobArena;
};

// LZ4 blobs of some pages of a corpus, one behind the other in random order.
class BlobArena {
 public:
  BlobArena(const Corpus& corpus, const std::vector<uint32_t>& pages);
  // Blob of the i-th of `pages`.
  std::span<const std::byte> blob(size_t i) const {
    return memory_.bytes().subspan(places_[i].offset, places_[i].bytes);
  }
  size_t count() const { return places_.size(); }

 private:
  struct Place {
    size_t offset = 0;
    size_t bytes = 0;
  };
  Buffer memory_;
  std::vector<Place> places_;
};

// M.
inline void reference_m(Page from, std::span<std::byte, kPageBytes> to) {
  std::memcpy(to.data(), from.data(), kPageBytes);
  keep(to.data());
}

}  // namespace tmem::bench
