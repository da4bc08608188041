// SPDX-License-Identifier: GPL-2.0-or-later
// Where the bytes of the simulated guests' files come from: real files, or generated ones.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libtmem/base/result.h"
#include "libtmem/base/units.h"

namespace tmem::lab {

using Bytes = std::span<std::byte>;
using Page = std::span<std::byte, kPageBytes>;

// What a file is good for in the experiment.
enum class FileRole : uint8_t { kSource, kHeader, kBinary };
inline constexpr size_t kFileRoles = 3;

struct FileInfo {
  std::string path;
  uint64_t bytes = 0;
  FileRole role = FileRole::kSource;
};

// Not thread-safe.
class FileSource {
 public:
  virtual ~FileSource() = default;
  virtual const std::vector<FileInfo>& files() const = 0;
  // Reads out.size() bytes at `offset`, zeroes behind the end. Errors: kOs, or kConflict when the
  // file is shorter than it was.
  virtual Result<void> read(uint32_t file, uint64_t offset, Bytes out) = 0;
};

// Files of this machine, in the order given.
std::unique_ptr<FileSource> create_real_files(std::vector<FileInfo> files);

// Invented files with the statistics of real ones (docs/lab.md), `counts` of each role. Needs about
// 8 KiB of memory a file and 300 KiB a binary.
std::unique_ptr<FileSource> create_generated_files(uint64_t seed,
                                                   const std::array<uint32_t, kFileRoles>& counts);

}  // namespace tmem::lab
