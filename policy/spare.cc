// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/spare.h"

#include <algorithm>

#include "libtmem/base/units.h"

namespace tmem::policy {
namespace {

constexpr uint64_t kSpareMinBytes = 24 * kMiB;
constexpr uint64_t kSparePart = 8;
constexpr uint64_t kSpareMostBytes = kGiB;

}  // namespace

// Without swap nothing hurts until there is nothing left, so no pressure would tell.
uint64_t spare_bytes(const Sample& sample) {
  return sample.available_bytes +
         std::min(sample.anon_bytes, sample.swap_free_bytes.value_or(UINT64_MAX));
}

uint64_t spare_min_bytes(const Sample& sample, uint64_t max_bytes) {
  const uint64_t part_bytes = std::min(max_bytes / kSparePart, kSpareMostBytes);
  const bool can_swap = sample.swap_free_bytes.value_or(UINT64_MAX) >= part_bytes;
  return can_swap ? kSpareMinBytes : std::max(kSpareMinBytes, part_bytes);
}

}  // namespace tmem::policy
