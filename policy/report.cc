// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/report.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "libtmem/base/units.h"

namespace tmem::policy {
namespace {

constexpr uint64_t kSizeMaxKib = uint64_t{1} << 44;
constexpr uint64_t kCountMax = uint64_t{1} << 62;

struct Field {
  std::string_view key;
  uint64_t Sample::*value;
  uint64_t unit;
};
constexpr std::array kFields = {
    Field{"seq", &Sample::sequence, 1},
    Field{"up_ms", &Sample::uptime_ms, 1},
    Field{"total_kib", &Sample::total_bytes, kKiB},
    Field{"free_kib", &Sample::free_bytes, kKiB},
    Field{"avail_kib", &Sample::available_bytes, kKiB},
    Field{"cache_kib", &Sample::cache_bytes, kKiB},
    Field{"anon_kib", &Sample::anon_bytes, kKiB},
    Field{"commit_kib", &Sample::committed_bytes, kKiB},
    Field{"reserve_kib", &Sample::reserve_bytes, kKiB},
    Field{"swap_kib", &Sample::swap_used_bytes, kKiB},
    Field{"refault", &Sample::refault_pages, 1},
    Field{"swapin", &Sample::swap_in_pages, 1},
};
// Bits after those of kFields.
constexpr uint32_t kSomeBit = kFields.size();
constexpr uint32_t kFullBit = kSomeBit + 1;
constexpr uint32_t kUrgentBit = kFullBit + 1;
constexpr uint32_t kModeBit = kUrgentBit + 1;
constexpr uint32_t kSwapFreeBit = kModeBit + 1;
constexpr uint32_t kPressure = 1u << kSomeBit | 1u << kFullBit;

tl::unexpected<Error> malformed(const std::string& what) {
  return fail(Errc::kMalformed, "the guest's report " + what);
}

bool is_allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '=' || c == ' ';
}

std::optional<uint64_t> parse_number(std::string_view text, uint64_t max) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

// Takes the next word off `text`; words are separated by exactly one space.
std::string_view take_word(std::string_view& text) {
  const size_t length = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return word;
}

// The bit of `key`, and where its value goes; false for a key that is not known.
struct Place {
  uint32_t bit = 0;
  uint64_t* value = nullptr;
  uint64_t unit = 1;
};
struct Extras {
  Pressure pressure;
  uint64_t mode = 0;
  uint64_t swap_free_bytes = 0;
};
bool find_place(std::string_view key, Sample& sample, Extras& extras, Place& place) {
  for (uint32_t i = 0; i < kFields.size(); ++i) {
    if (kFields[i].key != key) continue;
    place = {i, &(sample.*kFields[i].value), kFields[i].unit};
    return true;
  }
  if (key == "some_us") place = {kSomeBit, &extras.pressure.some_us, 1};
  if (key == "full_us") place = {kFullBit, &extras.pressure.full_us, 1};
  if (key == "urgent") place = {kUrgentBit, &sample.urgent, 1};
  if (key == "mode") place = {kModeBit, &extras.mode, 1};
  if (key == "swap_free_kib") place = {kSwapFreeBit, &extras.swap_free_bytes, kKiB};
  return place.value != nullptr;
}

}  // namespace

Result<Sample> parse_report(std::string_view text) {
  if (text.size() > kReportBytesMax) return malformed("is longer than 512 bytes");
  for (const char c : text)
    if (!is_allowed(c)) return malformed("has a character that may not be there");
  if (parse_number(take_word(text), UINT32_MAX) != kReportVersion)
    return malformed("does not begin with version 1");
  Sample sample;
  Extras extras;
  uint32_t seen = 0;
  while (!text.empty()) {
    const std::string_view word = take_word(text);
    const size_t equals = word.find('=');
    if (equals == 0 || equals == std::string_view::npos)
      return malformed("has a word that is no key=value");
    const std::string key(word.substr(0, equals));
    Place place;
    if (!find_place(key, sample, extras, place)) continue;
    if ((seen & 1u << place.bit) != 0) return malformed("has " + key + " twice");
    seen |= 1u << place.bit;
    const auto number =
        parse_number(word.substr(equals + 1), place.unit == 1 ? kCountMax : kSizeMaxKib);
    if (!number) return malformed("has no number within bounds for " + key);
    *place.value = *number * place.unit;
  }
  for (uint32_t i = 0; i < kFields.size(); ++i)
    if ((seen & 1u << i) == 0) return malformed("lacks " + std::string(kFields[i].key));
  if ((seen & kPressure) == kPressure)
    sample.pressure = extras.pressure;
  else if ((seen & kPressure) != 0)
    return malformed("has only one of some_us and full_us");
  if (extras.mode > 1) return malformed("has a mode that is neither 0 nor 1");
  sample.balloons_itself = extras.mode == 1;
  if ((seen & 1u << kSwapFreeBit) != 0) sample.swap_free_bytes = extras.swap_free_bytes;
  return sample;
}

std::string format_report(const Sample& sample) {
  std::string text = fmt::format("{}", kReportVersion);
  for (const Field& field : kFields)
    text += fmt::format(" {}={}", field.key, sample.*field.value / field.unit);
  if (sample.swap_free_bytes)
    text += fmt::format(" swap_free_kib={}", *sample.swap_free_bytes / kKiB);
  if (sample.urgent != 0) text += fmt::format(" urgent={}", sample.urgent);
  if (sample.balloons_itself) text += " mode=1";
  if (sample.pressure)
    text +=
        fmt::format(" some_us={} full_us={}", sample.pressure->some_us, sample.pressure->full_us);
  return text;
}

}  // namespace tmem::policy
