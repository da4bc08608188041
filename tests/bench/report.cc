// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/bench/report.h"

#include <fmt/core.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

namespace tmem::bench {
namespace {

std::string text_of(const Goal& goal) {
  return fmt::format("{} {:.3g}", goal.better == Better::kLower ? "<=" : ">=", goal.bound);
}

// {"id corpus": ratio} of a report in a file.
Result<std::map<std::string, double>> read_ratios(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(Errc::kNotFound, "cannot read " + path);
  try {
    std::map<std::string, double> ratios;
    const auto json = nlohmann::json::parse(file);
    for (const auto& row : json.at("rows")) {
      const auto key = row.at("id").get<std::string>() + " " + row.at("corpus").get<std::string>();
      ratios[key] = row.at("ratio").get<double>();
    }
    return ratios;
  } catch (const nlohmann::json::exception& error) {
    return fail(Errc::kMalformed, path + " is no report of tmem-bench: " + error.what());
  }
}

}  // namespace

bool Row::pass() const {
  if (!goal) return true;
  return goal->better == Better::kLower ? ratio() <= goal->bound : ratio() >= goal->bound;
}

bool Report::wants(std::string_view id) const {
  if (only_.empty()) return true;
  for (const std::string& wanted : only_)
    if (id == wanted || (id.starts_with(wanted) && id[wanted.size()] == '-')) return true;
  return false;
}

bool Report::wants_group(std::string_view group) const {
  if (wants(group)) return true;
  for (const std::string& wanted : only_)
    if (wanted.starts_with(group) && wanted[group.size()] == '-') return true;
  return false;
}

void Report::add(Row row) {
  if (!wants(row.id)) return;
  fmt::print(stderr, "  {:<24} {:<10} {:>10.4g} / {:>10.4g} {:<6} = {:.3f} {}\n", row.id,
             row.corpus, row.value, row.reference, row.unit, row.ratio(),
             !row.goal    ? ""
             : row.pass() ? "ok"
                          : "misses " + text_of(*row.goal));
  rows_.push_back(std::move(row));
}

void Report::skip(const std::string& id, const std::string& corpus, const std::string& why) {
  if (!wants(id)) return;
  fmt::print(stderr, "  {:<24} {:<10} not measured: {}\n", id, corpus, why);
  skips_.push_back({id, corpus, why});
}

void Report::print_table() const {
  fmt::print("{:<24} {:<10} {:>12} {:>12} {:<7} {:>7}  {:<9} {:<5} {}\n", "id", "corpus", "value",
             "reference", "unit", "ratio", "goal", "pass", "what");
  for (const Row& row : rows_)
    fmt::print("{:<24} {:<10} {:>12.5g} {:>12.5g} {:<7} {:>7.3f}  {:<9} {:<5} {}\n", row.id,
               row.corpus, row.value, row.reference, row.unit, row.ratio(),
               row.goal ? text_of(*row.goal) : "",
               !row.goal    ? ""
               : row.pass() ? "yes"
                            : "NO",
               row.note);
}

Result<void> Report::write_json(const std::string& path) const {
  try {
    nlohmann::ordered_json json;
    json["version"] = TMEM_VERSION;
    json["rows"] = nlohmann::ordered_json::array();
    for (const Row& row : rows_) {
      nlohmann::ordered_json r{{"id", row.id},
                               {"corpus", row.corpus},
                               {"value", row.value},
                               {"reference", row.reference},
                               {"ratio", row.ratio()}};
      r["goal"] = row.goal ? nlohmann::ordered_json(row.goal->bound) : nlohmann::ordered_json();
      r["pass"] = row.pass();
      r["better"] = !row.goal ? "" : row.goal->better == Better::kLower ? "lower" : "higher";
      r["unit"] = row.unit;
      r["note"] = row.note;
      json["rows"].push_back(std::move(r));
    }
    json["skipped"] = nlohmann::ordered_json::array();
    for (const Skip& skip : skips_)
      json["skipped"].push_back({{"id", skip.id}, {"corpus", skip.corpus}, {"why", skip.why}});
    const std::string text = json.dump(1) + "\n";
    if (path == "-") {
      fmt::print("{}", text);
      return {};
    }
    std::ofstream file(path);
    file << text;
    file.close();
    if (!file) return fail(Errc::kOs, "cannot write " + path);
    return {};
  } catch (const nlohmann::json::exception& error) {
    return fail(Errc::kMalformed, std::string("cannot build the report: ") + error.what());
  }
}

Result<void> compare_reports(const std::string& before, const std::string& after) {
  TMEM_TRY(const auto old_ratios, read_ratios(before));
  TMEM_TRY(const auto new_ratios, read_ratios(after));
  fmt::print("{:<40} {:>10} {:>10} {:>8}\n", "id corpus", "before", "after", "change");
  for (const auto& [key, now] : new_ratios) {
    const auto then = old_ratios.find(key);
    if (then == old_ratios.end())
      fmt::print("{:<40} {:>10} {:>10.3f}\n", key, "-", now);
    else
      fmt::print("{:<40} {:>10.3f} {:>10.3f} {:>+7.1f}%\n", key, then->second, now,
                 then->second == 0 ? 0.0 : (now / then->second - 1) * 100);
  }
  return {};
}

}  // namespace tmem::bench
