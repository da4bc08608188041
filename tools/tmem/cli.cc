// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/tmem/cli.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "libtmem/base/units.h"
#include "tmem/text.hpp"

namespace tmem::cli {

int complain(int code, std::string_view message) {
  fmt::print(stderr, "tmem: {}\n", plain(message, 4096));
  return code;
}

Result<json> Daemon::try_ask(std::string_view verb, const json& args) {
  exit_code_ = kExitUnreachable;
  if (client_ && client_->lost()) client_.reset();
  if (!client_) {
    TMEM_TRY(client_, control::Client::connect({globals_.socket_path, globals_.timeout_ms}));
  }
  auto result = client_->call(verb, args);
  exit_code_ = result ? kExitOk : client_->lost() ? kExitUnreachable : kExitFailed;
  return result;
}

std::optional<json> Daemon::ask(std::string_view verb, const json& args) {
  auto result = try_ask(verb, args);
  if (result) return *std::move(result);
  complain(exit_code_, result.error().message);
  return std::nullopt;
}

json Target::to_args() const {
  if (all) return {{"all", true}};
  return {{"client", client}};
}

std::string mib(uint64_t bytes) {
  return fmt::format("{:.1f}", static_cast<double>(bytes) / static_cast<double>(kMiB));
}

std::string percent(uint64_t part, uint64_t whole) {
  if (whole == 0) return "-";
  return fmt::format("{:.1f}", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string plain(std::string_view text, size_t chars) {
  std::string safe;
  for (const char c : text) {
    if (safe.size() == chars) break;
    const auto byte = static_cast<unsigned char>(c);
    safe += byte >= 0x20 && byte < 0x7f ? c : '?';
  }
  return safe;
}

std::string duration(uint64_t seconds) {
  const uint64_t days = seconds / 86400;
  const std::string clock =
      fmt::format("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
  return days == 0 ? clock : fmt::format("{}d {}", days, clock);
}

std::string Table::to_text() const {
  std::vector<size_t> widths;
  for (const Column& column : columns_)
    widths.push_back(std::max(column.width_min, column.title.size()));
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  const auto append = [&](size_t column, std::string_view cell) {
    const bool last = column + 1 == columns_.size();
    if (columns_[column].right)
      text += fmt::format("{:>{}}", cell, widths[column]);
    else
      text += fmt::format("{:<{}}", cell, last ? 0 : widths[column]);
    text += last ? "\n" : "  ";
  };
  for (size_t i = 0; i < columns_.size(); ++i) append(i, columns_[i].title);
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) append(i, row[i]);
  return text;
}

int print(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return kExitOk;
  return complain(kExitFailed, std::string("cannot write the output: ") + std::strerror(errno));
}

int print_json(const json& value) {
  return print(value.dump(2, ' ', false, json::error_handler_t::replace) + '\n');
}

}  // namespace tmem::cli
