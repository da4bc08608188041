// SPDX-License-Identifier: LGPL-2.1-or-later
// Sizes and ids. Variables carry their unit as the last word of the name: _pages, _bytes, _ms.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace tmem {

inline constexpr size_t kPageBytes = 4096;
inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;

// a - b, or 0 where b is more.
constexpr uint64_t minus_or_zero(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

// Ids that must not be swapped in a call: f(PoolId, DomId) does not compile as f(DomId, PoolId).
enum class DomId : uint16_t {};
enum class PoolId : uint32_t {};

using Uuid = std::array<uint8_t, 16>;

}  // namespace tmem
