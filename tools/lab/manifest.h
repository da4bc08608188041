// SPDX-License-Identifier: GPL-2.0-or-later
// The file manifest of a run: which files, with which bytes. One line a file, sorted by path:
// "xxh128 bytes role path". Its hash is printed and stands in the JSON: equal hash and equal seed
// mean an equal run.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "libtmem/base/result.h"
#include "tools/lab/file_source.h"

namespace tmem::lab {

struct Manifest {
  std::string text;
  std::string hash;  // XXH3-128 of the text, in hexadecimal
  uint64_t bytes = 0;
};

// Reads every byte of every file.
Result<Manifest> make_manifest(FileSource& source);

// The files that a manifest written earlier names. Errors: kMalformed with the line number,
// kConflict when a file's size changed (make_manifest's hash tells of other changes).
Result<std::vector<FileInfo>> read_manifest(const std::string& path);

// Regular files below `directories` (symbolic links are not followed) that have a role: text of 8
// to 128 KiB is a source, of 1 to 24 KiB a header, ELF of 192 KiB or more a binary. `counts` of
// each role are chosen by a hash of path and seed, a file for one role. Errors: kNotFound when
// there are too few.
Result<std::vector<FileInfo>> choose_files(const std::vector<std::string>& directories,
                                           uint64_t seed,
                                           const std::array<uint32_t, kFileRoles>& counts);

}  // namespace tmem::lab
