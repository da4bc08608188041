// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tmem/text.hpp"

#include <charconv>

namespace tmem {
namespace {

constexpr uint64_t kSizeMaxBytes = uint64_t{1} << 63;
constexpr uint64_t kYearMs = uint64_t{366} * 24 * 3600 * 1000;

std::optional<uint64_t> multiply(uint64_t number, uint64_t unit, uint64_t max) {
  if (number > max / unit) return std::nullopt;
  return number * unit;
}

std::optional<uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

bool hyphen_belongs_at(size_t position) {
  return position == 8 || position == 13 || position == 18 || position == 23;
}

// Bytes of a size suffix; 0 for a letter that is none.
uint64_t size_unit_bytes(char suffix) {
  switch (suffix) {
    case 'b':
    case 'B':
      return 1;
    case 'k':
    case 'K':
      return kKiB;
    case 'm':
    case 'M':
      return kMiB;
    case 'g':
    case 'G':
      return kGiB;
    case 't':
    case 'T':
      return 1024 * kGiB;
    default:
      return 0;
  }
}

}  // namespace

std::optional<uint64_t> parse_number(std::string_view text, uint64_t max) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc{} || stopped != end || number > max) return std::nullopt;
  return number;
}

std::optional<uint64_t> parse_size_bytes(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t unit_bytes = kMiB;
  if (const uint64_t suffix_bytes = size_unit_bytes(text.back()); suffix_bytes != 0) {
    unit_bytes = suffix_bytes;
    text.remove_suffix(1);
  }
  const auto number = parse_number(text);
  if (!number) return std::nullopt;
  return multiply(*number, unit_bytes, kSizeMaxBytes);
}

std::optional<uint64_t> parse_duration_ms(std::string_view text) {
  struct Suffix {
    std::string_view name;
    uint64_t ms;
  };
  // "ms" before "m" and "s": the longest suffix wins.
  static constexpr Suffix kSuffixes[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
  uint64_t unit_ms = 1000;
  for (const Suffix& suffix : kSuffixes) {
    if (!text.ends_with(suffix.name)) continue;
    unit_ms = suffix.ms;
    text.remove_suffix(suffix.name.size());
    break;
  }
  const auto number = parse_number(text);
  if (!number) return std::nullopt;
  return multiply(*number, unit_ms, kYearMs);
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  const bool hyphens = text.size() == 36;
  if (!hyphens && text.size() != 32) return std::nullopt;
  Uuid uuid{};
  size_t digits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (hyphens && hyphen_belongs_at(i)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const auto digit = hex_digit(text[i]);
    if (!digit) return std::nullopt;
    uuid[digits / 2] = static_cast<uint8_t>(uuid[digits / 2] << 4 | *digit);
    ++digits;
  }
  return uuid;
}

std::string format_uuid(const Uuid& uuid) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (const uint8_t byte : uuid) {
    if (hyphen_belongs_at(text.size())) text += '-';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string format_size(uint64_t bytes) {
  static constexpr char kSuffixes[] = {'b', 'k', 'M', 'G', 'T'};
  size_t suffix = 0;
  while (bytes != 0 && bytes % 1024 == 0 && suffix + 1 < sizeof(kSuffixes)) {
    bytes /= 1024;
    ++suffix;
  }
  return std::to_string(bytes) + kSuffixes[suffix];
}

}  // namespace tmem
