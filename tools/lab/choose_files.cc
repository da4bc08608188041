// SPDX-License-Identifier: GPL-2.0-or-later
// Looks for files of this machine that can stand for sources, headers and programs.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "libtmem/base/unique_fd.h"
#include "tools/lab/manifest.h"
#include "tools/lab/rng.h"

namespace tmem::lab {
namespace {

namespace fs = std::filesystem;

constexpr size_t kVisitedMax = 2'000'000;

struct Candidate {
  uint64_t rank = 0;  // orders the candidates
  FileInfo info;
};

bool is_text(const fs::path& path) {
  static constexpr std::string_view kEndings[] = {".h",   ".hh",  ".hpp", ".hxx", ".c",  ".cc",
                                                  ".cpp", ".ipp", ".tcc", ".inc", ".py", ".pm"};
  const std::string ending = path.extension().string();
  return std::ranges::find(kEndings, ending) != std::end(kEndings);
}

bool is_elf(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  char magic[4] = {};
  return fd && ::read(fd.get(), magic, sizeof magic) == sizeof magic &&
         std::string_view(magic, sizeof magic) ==
             "\x7f"
             "ELF";
}

// Candidates of one walk: text of any fitting size, and large files, not yet opened.
struct Candidates {
  std::vector<Candidate> text;
  std::vector<Candidate> large;
};

void look_at(const fs::directory_entry& entry, uint64_t seed, Candidates& found) {
  std::error_code error;
  if (entry.is_symlink(error) || !entry.is_regular_file(error)) return;
  const uint64_t bytes = entry.file_size(error);
  const std::string path = entry.path().string();
  if (error || bytes < kKiB || path.find('\n') != std::string::npos) return;
  const uint64_t rank = mix(seed, XXH3_64bits(path.data(), path.size()));
  if (is_text(entry.path())) {
    if (bytes < 128 * kKiB) found.text.push_back({rank, {path, bytes, FileRole::kSource}});
  } else if (bytes >= 192 * kKiB && bytes < 4 * kMiB) {
    found.large.push_back({rank, {path, bytes, FileRole::kBinary}});
  }
}

Candidates walk(const std::vector<std::string>& directories, uint64_t seed) {
  Candidates found;
  size_t visited = 0;
  for (const std::string& directory : directories) {
    std::error_code error;
    fs::recursive_directory_iterator it(directory, fs::directory_options::skip_permission_denied,
                                        error);
    for (; !error && it != fs::recursive_directory_iterator() && visited < kVisitedMax;
         it.increment(error)) {
      ++visited;
      look_at(*it, seed, found);
    }
  }
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank < b.rank : a.info.path < b.info.path;
  };
  std::ranges::sort(found.text, before);
  std::ranges::sort(found.large, before);
  return found;
}

}  // namespace

Result<std::vector<FileInfo>> choose_files(const std::vector<std::string>& directories,
                                           uint64_t seed,
                                           const std::array<uint32_t, kFileRoles>& counts) {
  Candidates found = walk(directories, seed);
  std::array<uint32_t, kFileRoles> missing = counts;
  std::vector<FileInfo> chosen;
  const auto take = [&](FileInfo& info, FileRole role) {
    --missing[static_cast<size_t>(role)];
    info.role = role;
    chosen.push_back(std::move(info));
  };
  for (Candidate& candidate : found.text) {
    const uint64_t bytes = candidate.info.bytes;
    if (bytes >= 8 * kKiB && missing[0] > 0) {
      take(candidate.info, FileRole::kSource);
    } else if (bytes < 24 * kKiB && missing[1] > 0) {
      take(candidate.info, FileRole::kHeader);
    }
  }
  for (Candidate& candidate : found.large) {
    if (missing[2] == 0) break;
    if (is_elf(candidate.info.path)) take(candidate.info, FileRole::kBinary);
  }
  if (missing[0] + missing[1] + missing[2] > 0) {
    return fail(
        Errc::kNotFound,
        fmt::format("too few files: {} sources, {} headers and {} programs more are needed; "
                    "name more directories (--files A:B), a larger --scale, or "
                    "--files generated",
                    missing[0], missing[1], missing[2]));
  }
  return chosen;
}

}  // namespace tmem::lab
