// SPDX-License-Identifier: GPL-2.0-or-later
// What the administrator says of the guests' memory: in tmemd.toml, and by `tmem policy set`.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "libtmem/base/units.h"

namespace tmem::arbiter {

enum class Mode : uint8_t {
  kOff,     // nothing is computed
  kAdvise,  // computed and logged; guests are left alone
  kHost,    // targets are written
};
inline constexpr std::pair<std::string_view, Mode> kModeWords[] = {
    {"off", Mode::kOff}, {"advise", Mode::kAdvise}, {"host", Mode::kHost}};

// Who sets the balloon of a guest while the mode is kHost.
enum class GuestMode : uint8_t {
  kOff,    // nobody
  kGuest,  // its own agent, within bounds
  kHost,   // tmemd
};
inline constexpr std::pair<std::string_view, GuestMode> kGuestModeWords[] = {
    {"off", GuestMode::kOff}, {"guest", GuestMode::kGuest}, {"host", GuestMode::kHost}};

template <class T, size_t kCount>
std::string_view word_of(const std::pair<std::string_view, T> (&words)[kCount], T value) {
  for (const auto& [word, meaning] : words)
    if (meaning == value) return word;
  return "";
}
template <class T, size_t kCount>
std::optional<T> meaning_of(const std::pair<std::string_view, T> (&words)[kCount],
                            std::string_view word) {
  for (const auto& [known, meaning] : words)
    if (known == word) return meaning;
  return std::nullopt;
}

inline constexpr uint32_t kPriorityMax = 1000;
inline constexpr double kKnobMax = 1e6;

// Of one guest; what is absent is left to the defaults.
struct GuestRule {
  std::optional<GuestMode> mode;
  std::optional<uint64_t> min_bytes;  // default: 64 MiB, or a quarter of the maximum if more
  std::optional<uint64_t> max_bytes;  // default, and never above: what the toolstack allows it
  std::optional<uint32_t> weight;     // default: the weight it has in the pool
  std::optional<uint32_t> priority;   // default: 0

  bool operator==(const GuestRule&) const = default;
  bool empty() const { return *this == GuestRule{}; }
  // What `other` says is taken from there.
  void overlay(const GuestRule& other) {
    if (other.mode) mode = other.mode;
    if (other.min_bytes) min_bytes = other.min_bytes;
    if (other.max_bytes) max_bytes = other.max_bytes;
    if (other.weight) weight = other.weight;
    if (other.priority) priority = other.priority;
  }
};

inline constexpr uint64_t kLogBytesMin = 64 * kKiB;

// [policy]
struct Settings {
  Mode mode = Mode::kAdvise;
  std::string strategy = "selfballoon+psi";
  std::optional<double> knob;  // none: the strategy's own
  bool idle_tax = true;
  std::string log_path = "/var/log/tmemd/decisions.log";  // empty: no log
  uint64_t log_bytes_max = 16 * kMiB;                     // then the file is renamed to PATH.1
};

// What `policy-set` asks for: of all (no guest is named), or of one guest.
struct Change {
  std::optional<Mode> mode;
  std::optional<std::string> strategy;  // with its own knob, unless one is given
  std::optional<double> knob;

  std::string guest;  // number, uuid or name
  GuestRule rule;
  bool reset = false;  // first forget what was changed for this guest before
};

}  // namespace tmem::arbiter
