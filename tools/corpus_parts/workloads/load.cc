// SPDX-License-Identifier: GPL-2.0-or-later
// Something to compile: the memory of the compiler is the workload. SEED varies the names and
// types.
#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <future>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <ranges>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace {

template <int N>
struct Table {
  using Cell = std::variant<int, double, std::string, std::array<char, N % 61 + 1>>;
  std::map<std::string, std::vector<std::pair<Cell, std::optional<std::tuple<int, std::string>>>>>
      rows;
  std::unordered_map<int, std::list<std::shared_ptr<Cell>>> index;
  std::deque<std::function<int(const Table&)>> hooks;

  int fill(int x) {
    rows[std::to_string(x + N)].emplace_back(Cell{x}, std::tuple{x, std::to_string(N)});
    index[x].push_back(std::make_shared<Cell>(std::string("cell")));
    hooks.emplace_back([x](const Table& t) { return x + static_cast<int>(t.rows.size()) + N; });
    std::vector<int> sorted(static_cast<size_t>(x & 7) + 2, N);
    std::sort(sorted.begin(), sorted.end(), [](int a, int b) { return a % (N + 1) < b % (N + 2); });
    std::ostringstream text;
    for (const int v : sorted | std::views::filter([](int v) { return v % 2 == 0; })) text << v;
    int total = 0;
    for (const auto& hook : hooks) total += hook(*this);
    for (const auto& [name, cells] : rows)
      for (const auto& [cell, note] : cells)
        total += std::visit([](const auto& v) { return static_cast<int>(sizeof v); }, cell);
    return total + static_cast<int>(text.str().size());
  }
};

template <int... I>
int fill_all(std::integer_sequence<int, I...>) {
  return (Table<I * 7 + SEED>{}.fill(I) + ... + 0);
}

}  // namespace

int main() {
  return fill_all(std::make_integer_sequence<int, 500>{});
}
