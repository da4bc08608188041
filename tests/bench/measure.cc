// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/bench/measure.h"

#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <string>

namespace tmem::bench {

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(values.size())));
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(std::max<size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

Buffer::Buffer(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TMEM_ASSERT(memory != MAP_FAILED);
  bytes_ = {static_cast<std::byte*>(memory), bytes};
  (void)madvise(memory, bytes, MADV_NOHUGEPAGE);
  for (size_t at = 0; at < bytes; at += kPageBytes) bytes_[at] = std::byte{1};
  for (size_t at = 0; at < bytes; at += kPageBytes) bytes_[at] = std::byte{0};
}

std::vector<uint32_t> shuffled(size_t count, uint64_t seed) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::mt19937_64 random(seed);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

uint64_t available_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word)
    if (word == "MemAvailable:") {
      uint64_t kib = 0;
      file >> kib;
      return kib * kKiB;
    }
  return 0;
}

uint64_t resident_set_bytes() {
  (void)malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  file >> total >> resident;
  return resident * kPageBytes;
}

}  // namespace tmem::bench
