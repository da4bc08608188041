// SPDX-License-Identifier: GPL-2.0-or-later
// Deterministic random numbers: the same seed gives the same run on every machine.
#pragma once
#include <cstdint>
#include <initializer_list>

namespace tmem::lab {

// A well-mixed value of up to three numbers (SplitMix64's finaliser, chained).
constexpr uint64_t mix(uint64_t a, uint64_t b = 0, uint64_t c = 0) {
  uint64_t h = 0x9e3779b97f4a7c15ull;
  for (const uint64_t part : {a, b, c}) {
    h += part + 0x9e3779b97f4a7c15ull;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
    h ^= h >> 31;
  }
  return h;
}

// SplitMix64. Not thread-safe.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ull;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  // 0 .. bound-1; bound must not be 0.
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(((next() >> 32) * bound) >> 32); }

  // Low numbers are likely: the density falls as 1/(3 x^(2/3)), so half of the draws fall into the
  // first eighth of the range.
  uint32_t skewed_below(uint32_t bound) {
    const uint64_t u = next() >> 43;  // 21 bits
    const uint64_t cube = (((u * u) >> 21) * u) >> 21;
    return static_cast<uint32_t>((cube * bound) >> 21);
  }

 private:
  uint64_t state_;
};

}  // namespace tmem::lab
