// SPDX-License-Identifier: GPL-2.0-or-later
// Reads one table of a TOML file key by key. Included by config.cc only: toml++ is slow to compile.
#pragma once
#include <stdexcept>

namespace tmem::control {
[[noreturn]] inline void throw_toml_violation() {
  throw std::invalid_argument("a key or value has a form that TOML does not know");
}
}  // namespace tmem::control

// A file can reach assertions of toml++ 3.3 (a line "[^" does). They throw here, and parse_config
// makes an error of that; NDEBUG would turn them into undefined behaviour.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) \
  if (!(expr)) ::tmem::control::throw_toml_violation()
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tmem/text.hpp"
#include "tmemd/control/config.h"

namespace tmem::control {

// The first thing wrong with the file.
class Problem {
 public:
  explicit Problem(std::string_view file_name) : file_name_(file_name) {}

  // `key` is the full name, "store.lz4_after"; `advice` says what to write instead.
  void report(toml::source_region where, const std::string& key, const std::string& reason,
              const std::string& advice) {
    if (found_) return;
    const std::string place =
        where.begin.line != 0 ? file_name_ + ":" + std::to_string(where.begin.line) : file_name_;
    found_ = place + ": " + (key.empty() ? "" : key + ": ") + reason + ", " + advice;
  }
  bool found() const { return found_.has_value(); }
  const std::string& message() const { return *found_; }

 private:
  std::string file_name_;
  std::optional<std::string> found_;
};

// A table whose keys are read one after the other; finish() refuses those that were not asked for.
// Absent keys leave `out` as it is. After a problem every call does nothing useful, and nothing
// bad.
class Section {
 public:
  // `table` may be null: an absent section.
  Section(const toml::table* table, std::string name, Problem& problem)
      : table_(table), name_(std::move(name)), problem_(problem) {}

  bool has(std::string_view key) const { return table_ != nullptr && table_->contains(key); }
  toml::source_region where(std::string_view key) const {
    const toml::node* const node = table_ != nullptr ? table_->get(key) : nullptr;
    return node != nullptr ? node->source() : where();
  }
  toml::source_region where() const {
    return table_ != nullptr ? table_->source() : toml::source_region{};
  }
  std::string full_name(std::string_view key) const { return name_ + "." + std::string(key); }
  void refuse(std::string_view key, const std::string& reason, const std::string& advice) {
    problem_.report(where(key), full_name(key), reason, advice);
  }

  // The node of a key, or null; notes the key as known.
  const toml::node* take(std::string_view key) {
    known_.emplace_back(key);
    return table_ != nullptr ? table_->get(key) : nullptr;
  }

  template <class T>
  void number(std::string_view key, T& out, uint64_t min, uint64_t max) {
    const toml::node* const node = take(key);
    if (node == nullptr) return;
    const auto* const value = node->as_integer();
    if (value != nullptr && value->get() >= 0) {
      const auto given = static_cast<uint64_t>(value->get());
      if (given >= min && given <= max) {
        out = static_cast<T>(given);
        return;
      }
    }
    refuse(key, value != nullptr ? "out of range" : "not a whole number",
           "write a number from " + std::to_string(min) + " to " + std::to_string(max));
  }

  void real(std::string_view key, std::optional<double>& out, double min, double max) {
    const toml::node* const node = take(key);
    if (node == nullptr) return;
    const std::optional<double> given = node->value<double>();
    if (given && *given >= min && *given <= max)
      out = given;
    else
      refuse(key, given ? "out of range" : "not a number",
             "write a number from " + std::to_string(min) + " to " + std::to_string(max));
  }

  void boolean(std::string_view key, bool& out) {
    const toml::node* const node = take(key);
    if (node == nullptr) return;
    if (const auto* const value = node->as_boolean())
      out = value->get();
    else
      refuse(key, "not a boolean", "write true or false");
  }

  // A size: text as for parse_size_bytes, or an integer in MiB.
  void size(std::string_view key, uint64_t& out_bytes, uint64_t min_bytes, uint64_t max_bytes) {
    quantity(key, out_bytes, parse_size_bytes, "a size", format_size(min_bytes),
             format_size(max_bytes), {min_bytes, max_bytes}, "\"512M\" or \"2G\"");
  }

  // A duration: text as for parse_duration_ms, or an integer in seconds.
  void duration(std::string_view key, uint64_t& out_ms, uint64_t max_ms) {
    quantity(key, out_ms, parse_duration_ms, "a duration", "0s",
             std::to_string(max_ms / 1000) + "s", {0, max_ms}, "\"500ms\", \"2s\" or \"5m\"");
  }

  // Text of printable ASCII. `spaces`: whether blanks are allowed.
  void text(std::string_view key, std::string& out, size_t bytes_max, bool spaces) {
    const toml::node* const node = take(key);
    if (node == nullptr) return;
    const auto* const value = node->as_string();
    if (value == nullptr) return refuse(key, "not a string", "write text in double quotes");
    const std::string& given = value->get();
    const bool printable = std::all_of(given.begin(), given.end(), [spaces](char c) {
      return (c > 0x20 && c < 0x7f) || (spaces && c == ' ');
    });
    if (!printable || given.size() > bytes_max)
      return refuse(key, printable ? "too long" : "has characters that are not allowed",
                    "write at most " + std::to_string(bytes_max) + " printable ASCII characters" +
                        (spaces ? "" : " without spaces"));
    out = given;
  }

  template <class T, size_t kCount>
  void choice(std::string_view key, T& out, const std::pair<std::string_view, T> (&words)[kCount]) {
    const toml::node* const node = take(key);
    if (node == nullptr) return;
    const auto* const value = node->as_string();
    std::string list;
    for (const auto& [word, meaning] : words) {
      if (value != nullptr && value->get() == word) {
        out = meaning;
        return;
      }
      list += (list.empty() ? "\"" : ", \"") + std::string(word) + '"';
    }
    refuse(key, value != nullptr ? "unknown word" : "not a string", "write one of " + list);
  }

  void uuid(std::string_view key, Uuid& out) {
    const toml::node* const node = take(key);
    const auto* const value = node != nullptr ? node->as_string() : nullptr;
    const auto parsed = value != nullptr ? parse_uuid(value->get()) : std::nullopt;
    if (parsed)
      out = *parsed;
    else if (node != nullptr)
      refuse(key, "not a uuid", "write it as \"8b5e0f6e-1c3a-4e7e-9f60-0242ac120002\"");
  }

  void finish() {
    if (table_ == nullptr) return;
    std::string list;
    for (const std::string& key : known_) list += (list.empty() ? "" : ", ") + key;
    for (const auto& [key, node] : *table_) {
      const std::string name(key.str());
      if (std::find(known_.begin(), known_.end(), name) == known_.end())
        problem_.report(key.source(), name_.empty() ? printable(name) : full_name(printable(name)),
                        "unknown key", "known here are " + list);
    }
  }

 private:
  struct Range {
    uint64_t min;
    uint64_t max;
  };

  // A key as it may stand in a message: not longer than one would read, no control characters.
  static std::string printable(std::string_view name) {
    std::string text;
    for (const char c : name.substr(0, 60)) text += c >= 0x20 && c < 0x7f ? c : '?';
    return text;
  }

  void quantity(std::string_view key, uint64_t& out,
                std::optional<uint64_t> (*parse)(std::string_view), const std::string& what,
                const std::string& min_text, const std::string& max_text, Range range,
                const std::string& example) {
    const toml::node* const node = take(key);
    if (node == nullptr) return;
    std::optional<uint64_t> given;
    if (const auto* const number = node->as_integer())
      given = parse(std::to_string(number->get()));
    else if (const auto* const words = node->as_string())
      given = parse(words->get());
    if (given && *given >= range.min && *given <= range.max)
      out = *given;
    else
      refuse(key, given ? "out of range" : "not " + what,
             "write " + what + " from " + min_text + " to " + max_text + ", such as " + example);
  }

  const toml::table* table_;
  std::string name_;
  Problem& problem_;
  std::vector<std::string> known_;
};

}  // namespace tmem::control
