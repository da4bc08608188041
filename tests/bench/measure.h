// SPDX-License-Identifier: GPL-2.0-or-later
// How time is taken: CPU time of the thread (neighbours on the machine do not count), our operation
// and its reference in turns, the median over the rounds.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "libtmem/base/assert.h"
#include "libtmem/base/units.h"

namespace tmem::bench {

inline uint64_t now_ns(clockid_t clock) {
  timespec t{};
  TMEM_ASSERT(clock_gettime(clock, &t) == 0);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

inline uint64_t thread_cpu_ns() {
  return now_ns(CLOCK_THREAD_CPUTIME_ID);
}
inline uint64_t wall_ns() {
  return now_ns(CLOCK_MONOTONIC);
}

// CPU nanoseconds per item that `work` takes.
template <class Work>
double cpu_ns_each(size_t items, Work&& work) {
  const uint64_t start = thread_cpu_ns();
  std::forward<Work>(work)();
  return static_cast<double>(thread_cpu_ns() - start) / static_cast<double>(items);
}

// Nearest-rank quantile, 0 < q <= 1; 0 of nothing.
double quantile(std::vector<double> values, double q);
inline double median(std::vector<double> values) {
  return quantile(std::move(values), 0.5);
}

// Our times and the reference's, a pair a round.
struct Paired {
  std::vector<double> ours;
  std::vector<double> reference;
};

// Keeps the compiler from dropping a computation whose result nobody uses.
template <class T>
inline void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

// Anonymous memory, every page of it touched, in 4 KiB mappings as a guest's slots are.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);
  Buffer(Buffer&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Buffer() {
    if (!bytes_.empty()) (void)munmap(bytes_.data(), bytes_.size());
  }

  std::span<std::byte> bytes() { return bytes_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  size_t pages() const { return bytes_.size() / kPageBytes; }
  std::span<std::byte, kPageBytes> page(size_t i) {
    return std::span<std::byte, kPageBytes>(bytes_.data() + i * kPageBytes, kPageBytes);
  }
  std::span<const std::byte, kPageBytes> page(size_t i) const {
    return std::span<const std::byte, kPageBytes>(bytes_.data() + i * kPageBytes, kPageBytes);
  }

 private:
  std::span<std::byte> bytes_;
};

// 0 .. count-1 in a random order that depends on the seed only.
std::vector<uint32_t> shuffled(size_t count, uint64_t seed);

uint64_t available_memory_bytes();
// Resident set of this process.
uint64_t resident_set_bytes();

}  // namespace tmem::bench
