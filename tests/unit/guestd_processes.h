// SPDX-License-Identifier: GPL-2.0-or-later
// Processes with pages in swap, as files below a test's /proc.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/guestd_world.h"

namespace tmem {

struct FakeMapping {
  uint64_t begin = 0, pages = 0;
  std::string mode = "rw-p";
  std::map<uint64_t, uint32_t> swapped;  // page of the mapping, type
};

inline std::string hex(uint64_t number) {
  std::array<char, 17> text{};
  (void)snprintf(text.data(), text.size(), "%lx", number);
  return text.data();
}

// Without `mappings` it is a kernel thread.
inline void write_process(const FakeRoot& root, int pid, const std::vector<FakeMapping>& mappings,
                          const std::string& name = "") {
  const std::string folder = std::to_string(pid) + "/";
  std::string maps, pagemap;
  uint64_t swapped = 0;
  for (const FakeMapping& mapping : mappings) {
    maps += hex(mapping.begin) + "-" + hex(mapping.begin + mapping.pages * 4096) + " " +
            mapping.mode + " 00000000 00:00 0 " + name + "\n";
    for (uint64_t page = 0; page < mapping.pages && mapping.pages < 100'000; ++page) {
      const auto found = mapping.swapped.find(page);
      const uint64_t entry = found == mapping.swapped.end()
                                 ? (page % 2 == 0 ? 0 : uint64_t{1} << 63 | 0x1234)
                                 : uint64_t{1} << 62 | page << 5 | found->second;
      const uint64_t at = (mapping.begin / 4096 + page) * sizeof(entry);
      if (pagemap.size() < at + sizeof(entry)) pagemap.resize(at + sizeof(entry));
      pagemap.replace(at, sizeof(entry), reinterpret_cast<const char*>(&entry), sizeof(entry));
    }
    swapped += mapping.swapped.size();
  }
  root.write(folder + "status",
             "Name:\tx\n" + (mappings.empty() ? std::string("Threads:\t1\n")
                                              : "VmSwap:\t" + std::to_string(swapped * 4) +
                                                    " kB\nThreads:\t1\n"));
  root.write(folder + "maps", maps);
  root.write(folder + "pagemap", pagemap);
}

}  // namespace tmem
