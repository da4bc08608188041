// SPDX-License-Identifier: GPL-2.0-or-later
// Page contents from small ids, so that a reference store needs to keep only the id of a page.
//
// An id names a base page (same-filled, nearly same-filled, text, sparse, mixed, random) and a
// stamp: one 8-byte word written over the base somewhere, so that contents can be fresh without
// end and two of them differ in as little as one word.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "tests/model/rng.h"
#include "tmemd/store/store.h"

namespace tmem::model {

enum class ContentId : uint64_t {};

// The kinds of base pages, as a stream weighs them.
enum class Texture : uint8_t { kSameFilled, kNearlySame, kText, kSparse, kMixed, kRandom, kCount };

// `stamp` 0 leaves the base as it is; of a same-filled page the stamp is the fill value.
ContentId content_id(Texture texture, uint8_t base, uint64_t stamp);
bool is_same_filled(ContentId id);

class Contents {
 public:
  explicit Contents(uint64_t seed);

  void fill(ContentId id, store::PageBuffer out) const;
  bool matches(ContentId id, store::PageBytes page) const;

 private:
  using Page = std::array<uint64_t, kPageBytes / sizeof(uint64_t)>;
  struct Recipe;
  Recipe recipe(ContentId id) const;

  std::vector<Page> bases_;  // kBases of each texture but kSameFilled
};

}  // namespace tmem::model
