// SPDX-License-Identifier: GPL-2.0-or-later
// What `tmem top` shows, as text: rates between two answers of the verb stats, rows in a chosen
// order, cut to a width. Knows no terminal.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/tmem/view.h"

namespace tmem::cli {

struct TopColumn {
  char key;  // sorts by it
  std::string_view title;
  std::string_view meaning;
  size_t width;
  bool right;
};

const std::vector<TopColumn>& top_columns();

struct TopCell {
  std::string text;
  double value = 0;  // what numeric columns sort by
};

struct TopRow {
  std::vector<TopCell> cells;  // as top_columns()
};

struct TopOrder {
  size_t column = 4;  // EPH(M)
  bool ascending = false;
};

class TopModel {
 public:
  // The answers must come in order of time. The first gives rates since each client's start.
  void update(const json& stats);

  // Three lines about the host.
  std::vector<std::string> header(std::string_view now) const;
  std::vector<TopRow> rows(const TopOrder& order) const;

  // The columns that fit into `width`, at least the name. The name gives way first.
  static std::string title_line(size_t width, const TopOrder& order, bool full_names);
  static std::string row_line(const TopRow& row, size_t width, bool full_names);

 private:
  TopRow row_of(const ClientView& client) const;

  json stats_;
  std::vector<ClientView> now_;
  std::vector<ClientView> before_;
  double seconds_ = 0;  // between the two
};

}  // namespace tmem::cli
