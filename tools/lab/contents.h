// SPDX-License-Identifier: GPL-2.0-or-later
// Which files each guest has, and the bytes of everything a guest can see: files, what its builds
// write, and the heaps of its processes. All contents are functions of names, so that any page can
// be checked byte by byte at any time.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "libtmem/base/result.h"
#include "tools/lab/file_source.h"
#include "tools/lab/parameters.h"

namespace tmem::lab {

enum class ContentKind : uint8_t { kFile, kOutput };

// What an inode contains.
struct ContentRef {
  ContentKind kind = ContentKind::kFile;
  uint64_t id = 0;  // the file's number in the FileSource; of an output: its seed
  uint64_t bytes = 0;
};

struct JobFiles {
  ContentRef source;
  uint64_t output_seed = 0;  // equal for equal sources compiled for the same architecture
};

struct TreeFiles {
  std::vector<JobFiles> jobs;
  std::vector<ContentRef> headers;
};

struct GuestFiles {
  std::vector<ContentRef> compiler;
  std::vector<TreeFiles> trees;
};

// How many files of each role a run needs.
std::array<uint32_t, kFileRoles> files_needed(const Parameters& parameters, const Model& model);

// The bytes of simulated memory. Not thread-safe.
class Contents {
 public:
  // `source` must outlive this. Errors: kMalformed when it has fewer files than files_needed().
  static Result<std::unique_ptr<Contents>> create(FileSource& source, const Parameters& parameters,
                                                  const Model& model);

  const GuestFiles& guest_files(uint32_t guest) const { return guests_[guest]; }

  // Page `index` of a file or output.
  Result<void> file_page(const ContentRef& ref, uint32_t index, Page out);

  // An anonymous page. `name` tells process and page, `version` counts its writes.
  void anonymous_page(uint64_t name, uint32_t version, Page out) const;

 private:
  explicit Contents(FileSource& source) : source_(source) {}
  Result<void> load_code(const Parameters& parameters, const Model& model);
  void assign(const Parameters& parameters, const Model& model);
  GuestFiles files_of_guest(const Parameters& parameters, const Model& model, uint32_t guest) const;

  FileSource& source_;
  std::array<std::vector<uint32_t>, kFileRoles> by_role_;
  std::vector<GuestFiles> guests_;
  std::vector<std::byte> code_;  // bytes of programs: outputs are cut out of it
};

}  // namespace tmem::lab
