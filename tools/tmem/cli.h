// SPDX-License-Identifier: GPL-2.0-or-later
// What the verbs of the command line have in common: where to ask, how to answer, how to fail.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libtmem/base/result.h"
#include "tmem/control.hpp"

namespace tmem::cli {

// Exit codes; documented in docs/tmem.1.md, scripts depend on them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;       // the daemon refused, or output could not be written
inline constexpr int kExitUsage = 2;        // the command line is wrong
inline constexpr int kExitUnreachable = 3;  // no answer from a daemon

using nlohmann::json;

struct Globals {
  std::string socket_path = control::kDefaultSocket;
  uint32_t timeout_ms = 10'000;
  bool as_json = false;
};

// Prints "tmem: message" on stderr and returns `code`.
int complain(int code, std::string_view message);

// A connection that is made at the first call. Errors are printed; then `exit_code` says which.
class Daemon {
 public:
  explicit Daemon(const Globals& globals) : globals_(globals) {}

  // Empty after a failure, which has been printed.
  std::optional<json> ask(std::string_view verb, const json& args);
  // The same without printing. `exit_code` is set on failure.
  Result<json> try_ask(std::string_view verb, const json& args);
  int exit_code() const { return exit_code_; }

 private:
  const Globals& globals_;
  std::optional<control::Client> client_;
  int exit_code_ = kExitOk;
};

// Which clients a verb is about: one (number, name or uuid) or, with -a, all.
struct Target {
  std::string client;
  bool all = false;

  bool given() const { return all != !client.empty(); }
  // {"client": ...} or {"all": true}.
  json to_args() const;
};

// "512.0", from bytes.
std::string mib(uint64_t bytes);
// "87.5" of a share, "-" where the whole is 0.
std::string percent(uint64_t part, uint64_t whole);
// Text of the daemon or a guest, safe for a terminal: no control characters, at most `chars` long.
std::string plain(std::string_view text, size_t chars = 256);
// Seconds as "3d 04:05:06" or "04:05:06".
std::string duration(uint64_t seconds);

// Columns aligned by their widest cell; numbers to the right.
class Table {
 public:
  struct Column {
    std::string title;
    bool right = true;
    size_t width_min = 0;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string to_text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Writes to stdout; kExitFailed (and a message) when that fails.
int print(std::string_view text);
int print_json(const json& value);

}  // namespace tmem::cli
