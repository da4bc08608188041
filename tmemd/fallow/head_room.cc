// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/fallow/head_room.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "libtmem/base/units.h"

namespace tmem::fallow {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPercentByDefault = 5;
constexpr uintmax_t kConfigBytesMax = 256 * kKiB;
constexpr uint64_t kGuestMibMax = 64 * kMiB;  // 64 TiB

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r;'\"";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// The value of `memory = 512`, in MiB, if the line is one.
std::optional<uint64_t> memory_of_line(std::string_view line) {
  line = line.substr(0, line.find('#'));
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos || trim(line.substr(0, equals)) != "memory")
    return std::nullopt;
  const std::string_view digits = trim(line.substr(equals + 1));
  uint64_t mib = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), mib);
  if (error != std::errc{} || end != digits.data() + digits.size() || mib > kGuestMibMax)
    return std::nullopt;
  return mib;
}

// Page tables, the domain's own structures, and libxl's slack: 2 % and some MiB.
uint64_t with_overhead(uint64_t mib) {
  constexpr uint64_t kFixedMib = 8;
  return (mib + mib / 50 + kFixedMib) * kMiB;
}

std::optional<uint64_t> guest_bytes_of_file(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error) || fs::file_size(path, error) > kConfigBytesMax || error)
    return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return guest_bytes(text);
}

}  // namespace

uint64_t head_room_bytes(const HeadRoom& head_room, uint64_t host_bytes, uint64_t largest_bytes) {
  const auto percent = [host_bytes](uint64_t value) { return host_bytes / 100 * value; };
  switch (head_room.kind) {
    case HeadRoom::Kind::kBytes:
      return head_room.value;
    case HeadRoom::Kind::kPercent:
      return std::min(percent(head_room.value), host_bytes / 2);
    case HeadRoom::Kind::kAuto:
      break;
  }
  return std::min(std::max(largest_bytes, percent(kPercentByDefault)), host_bytes / 2);
}

std::optional<uint64_t> guest_bytes(std::string_view xl_config) {
  std::optional<uint64_t> mib;
  while (!xl_config.empty()) {
    const size_t end = xl_config.find('\n');
    if (const auto found = memory_of_line(xl_config.substr(0, end))) mib = found;
    if (end == std::string_view::npos) break;
    xl_config.remove_prefix(end + 1);
  }
  if (!mib) return std::nullopt;
  return with_overhead(*mib);
}

uint64_t largest_guest_bytes(const std::vector<std::string>& directories) {
  uint64_t largest = 0;
  for (const std::string& directory : directories) {
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
      largest = std::max(largest, guest_bytes_of_file(it->path()).value_or(0));
  }
  return largest;
}

}  // namespace tmem::fallow
