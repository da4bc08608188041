// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/control/args.h"

#include <algorithm>

namespace tmem::control {

constexpr size_t kTextBytesMax = 256;

const nlohmann::json* Args::take(const char* key) {
  known_.emplace_back(key);
  const auto found = object_.find(key);
  return found != object_.end() ? &*found : nullptr;
}

void Args::refuse(const std::string& key, const std::string& advice) {
  if (!problem_) problem_ = "args." + key + ": " + advice;
}

std::optional<uint64_t> Args::number(const char* key, uint64_t min, uint64_t max) {
  const nlohmann::json* const value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) {
    const auto given = value->get<uint64_t>();
    if (given >= min && given <= max) return given;
  }
  refuse(key, "write a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  return std::nullopt;
}

std::optional<double> Args::real(const char* key, double min, double max) {
  const nlohmann::json* const value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number() && value->get<double>() >= min && value->get<double>() <= max)
    return value->get<double>();
  refuse(key, "write a number from " + std::to_string(min) + " to " + std::to_string(max));
  return std::nullopt;
}

std::optional<std::string> Args::text(const char* key) {
  const nlohmann::json* const value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string() && value->get_ref<const std::string&>().size() <= kTextBytesMax)
    return value->get<std::string>();
  refuse(key, "write text of at most " + std::to_string(kTextBytesMax) + " bytes");
  return std::nullopt;
}

std::optional<bool> Args::boolean(const char* key) {
  const nlohmann::json* const value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  refuse(key, "write true or false");
  return std::nullopt;
}

Result<void> Args::finish() const {
  if (problem_) return fail(Errc::kMalformed, *problem_);
  for (const auto& [key, value] : object_.items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    std::string list;
    for (const std::string_view known : known_)
      list += (list.empty() ? "" : ", ") + std::string(known);
    return fail(Errc::kMalformed, "args: unknown key \"" + key.substr(0, 60) + "\"; " +
                                      (list.empty() ? "this verb has none" : "known are " + list));
  }
  return {};
}

}  // namespace tmem::control
