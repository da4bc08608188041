// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/manifest.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <sstream>

namespace tmem::lab {
namespace {

constexpr char kRoleLetters[] = {'s', 'h', 'b'};

std::string hex(const XXH128_hash_t& hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

Result<std::string> hash_file(FileSource& source, uint32_t file, std::vector<std::byte>& buffer) {
  buffer.resize(source.files()[file].bytes);
  TMEM_CHECK(source.read(file, 0, buffer));
  return hex(XXH3_128bits(buffer.data(), buffer.size()));
}

Result<FileInfo> parse_line(const std::string& line, const std::string& where) {
  std::istringstream words(line);
  std::string hash;
  std::string role;
  FileInfo info;
  words >> hash >> info.bytes >> role >> std::ws;
  std::getline(words, info.path);
  const auto* letter =
      std::find(std::begin(kRoleLetters), std::end(kRoleLetters), role.size() == 1 ? role[0] : '?');
  if (!words || hash.size() != 32 || letter == std::end(kRoleLetters) || info.path.empty()) {
    return fail(Errc::kMalformed,
                where + ": expected \"xxh128 bytes role path\" with a role of s, h or b");
  }
  info.role = static_cast<FileRole>(letter - std::begin(kRoleLetters));
  struct stat status {};
  if (::lstat(info.path.c_str(), &status) != 0) return fail_os(where + ": " + info.path);
  if (!S_ISREG(status.st_mode) || static_cast<uint64_t>(status.st_size) != info.bytes) {
    return fail(Errc::kConflict,
                where + ": " + info.path + " has changed; write a new manifest (--write-manifest)");
  }
  return info;
}

}  // namespace

Result<Manifest> make_manifest(FileSource& source) {
  std::vector<uint32_t> order(source.files().size());
  std::iota(order.begin(), order.end(), 0u);
  const auto& files = source.files();
  std::ranges::sort(order, [&](uint32_t a, uint32_t b) { return files[a].path < files[b].path; });
  Manifest manifest;
  std::vector<std::byte> buffer;
  for (const uint32_t file : order) {
    TMEM_TRY(const std::string hash, hash_file(source, file, buffer));
    manifest.text +=
        fmt::format("{} {} {} {}\n", hash, files[file].bytes,
                    kRoleLetters[static_cast<size_t>(files[file].role)], files[file].path);
    manifest.bytes += files[file].bytes;
  }
  manifest.hash = hex(XXH3_128bits(manifest.text.data(), manifest.text.size()));
  return manifest;
}

Result<std::vector<FileInfo>> read_manifest(const std::string& path) {
  std::ifstream in(path);
  if (!in) return fail_os("cannot open the manifest " + path);
  std::vector<FileInfo> files;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    TMEM_TRY(FileInfo info, parse_line(line, fmt::format("{}:{}", path, number)));
    files.push_back(std::move(info));
  }
  return files;
}

}  // namespace tmem::lab
