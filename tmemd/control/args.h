// SPDX-License-Identifier: GPL-2.0-or-later
// Reads a request's "args" key by key, strictly: a wrong type, a value out of range or a key that
// the verb does not know is an error that names the key.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libtmem/base/result.h"

namespace tmem::control {

class Args {
 public:
  // `object` must be a JSON object and outlive this.
  explicit Args(const nlohmann::json& object) : object_(object) {}

  // Absent keys and wrong values give nothing; the latter make finish() fail.
  std::optional<uint64_t> number(const char* key, uint64_t min, uint64_t max);
  std::optional<double> real(const char* key, double min, double max);
  std::optional<std::string> text(const char* key);  // at most 256 bytes
  bool flag(const char* key) { return boolean(key).value_or(false); }
  std::optional<bool> boolean(const char* key);
  // The value as it is, or null.
  const nlohmann::json* raw(const char* key) { return take(key); }
  void refuse(const std::string& key, const std::string& advice);

  // To be called after all keys were read, before anything is done. Errors: kMalformed.
  Result<void> finish() const;

 private:
  const nlohmann::json* take(const char* key);

  const nlohmann::json& object_;
  std::vector<std::string_view> known_;
  std::optional<std::string> problem_;  // the first
};

}  // namespace tmem::control
