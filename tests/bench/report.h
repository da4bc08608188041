// SPDX-License-Identifier: GPL-2.0-or-later
// What the benchmark found: rows of {id, corpus, value, reference, ratio, goal, pass}, as a table
// and as JSON.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libtmem/base/result.h"

namespace tmem::bench {

enum class Better { kLower, kHigher };

// The ratio value / reference must be at most (kLower) or at least (kHigher) `bound`.
struct Goal {
  double bound = 0;
  Better better = Better::kLower;
};

struct Row {
  std::string id;
  std::string corpus;
  double value = 0;
  double reference = 0;
  std::string unit;          // of value and reference
  std::optional<Goal> goal;  // none: told for information
  std::string note;          // what was compared with what

  double ratio() const { return reference == 0 ? 0 : value / reference; }
  bool pass() const;
};

class Report {
 public:
  // `only`: ids to keep. "P1" keeps "P1" and "P1-path". Empty: all.
  explicit Report(std::vector<std::string> only) : only_(std::move(only)) {}

  bool wants(std::string_view id) const;
  // True if any id "group" or "group-..." is wanted.
  bool wants_group(std::string_view group) const;
  // Ignored unless wanted.
  void add(Row row);
  // Says on stderr why something is not measured; kept for the JSON file.
  void skip(const std::string& id, const std::string& corpus, const std::string& why);

  const std::vector<Row>& rows() const { return rows_; }
  void print_table() const;
  // "-" is standard output.
  Result<void> write_json(const std::string& path) const;

 private:
  struct Skip {
    std::string id;
    std::string corpus;
    std::string why;
  };
  std::vector<std::string> only_;
  std::vector<Row> rows_;
  std::vector<Skip> skips_;
};

// Prints the ratios of two JSON files side by side. kNotFound or kMalformed for bad files.
Result<void> compare_reports(const std::string& before, const std::string& after);

}  // namespace tmem::bench
