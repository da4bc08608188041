// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/tmem/top_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "libtmem/base/units.h"

namespace tmem::cli {
namespace {

constexpr size_t kNameWidthMin = 8;
constexpr size_t kNameWidthFull = 40;

double to_mib(uint64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(kMiB);
}

TopCell number(double value, int decimals = 0) {
  return {fmt::format("{:.{}f}", value, decimals), value};
}

// How many columns fit beside a name of the least width, and how wide the name then is.
struct Layout {
  size_t columns = 1;
  size_t name_width = 0;
};

Layout layout(size_t width, bool full_names) {
  const auto& columns = top_columns();
  Layout fit;
  size_t used = kNameWidthMin;
  while (fit.columns < columns.size() && used + 1 + columns[fit.columns].width <= width)
    used += 1 + columns[fit.columns++].width;
  const size_t wanted = full_names ? kNameWidthFull : columns[0].width;
  fit.name_width =
      std::max(kNameWidthMin, std::min(wanted, kNameWidthMin + width - std::min(width, used)));
  if (width < kNameWidthMin) fit.name_width = width;
  return fit;
}

std::string line_of(size_t width, bool full_names, const auto& cell) {
  const Layout fit = layout(width, full_names);
  std::string line;
  for (size_t i = 0; i < fit.columns; ++i) {
    const TopColumn& column = top_columns()[i];
    const size_t cell_width = i == 0 ? fit.name_width : column.width;
    const std::string text = cell(i);
    const std::string_view cut = std::string_view(text).substr(0, cell_width);
    if (i != 0) line += ' ';
    line += column.right ? fmt::format("{:>{}}", cut, cell_width)
                         : fmt::format("{:<{}}", cut, cell_width);
  }
  return line;
}

}  // namespace

const std::vector<TopColumn>& top_columns() {
  static const std::vector<TopColumn> columns = {
      {'n', "NAME", "name", 16, false},
      {'i', "ID", "number", 4, true},
      {'t', "STATE", "ok, frozen or shared", 6, false},
      {'w', "WEIGHT", "share of the ephemeral memory", 6, true},
      {'e', "EPH(M)", "ephemeral pages, MiB before dedup and compression", 8, true},
      {'p', "PERS(M)", "persistent pages, MiB before dedup and compression", 8, true},
      {'c', "CHRG(M)", "memory it pays for, MiB", 8, true},
      {'u', "PUT/s", "pages put a second", 7, true},
      {'g', "GET/s", "pages asked for a second", 7, true},
      {'h', "HIT%", "of the pages asked for", 5, true},
      {'v', "EVICT/s", "pages evicted a second", 7, true},
      {'d', "DUP%", "of the pages put: equal to one held", 5, true},
      {'z', "SAME%", "of the pages put: one value throughout", 5, true},
      {'f', "FULL/s", "puts refused for want of space a second", 6, true},
      {'s', "SHARE(M)", "its part of the ephemeral memory by weight, MiB", 8, true}};
  return columns;
}

void TopModel::update(const json& stats) {
  const uint64_t uptime_ms = number_at(stats, "/uptime_ms");
  const uint64_t before_ms = number_at(stats_, "/uptime_ms");
  const bool same_daemon = !stats_.is_null() && uptime_ms > before_ms;
  before_ = same_daemon ? std::move(now_) : std::vector<ClientView>{};
  seconds_ = static_cast<double>(same_daemon ? uptime_ms - before_ms : uptime_ms) / 1000.0;
  stats_ = stats;
  now_ = views_of(stats.value("clients", json::array()));
}

TopRow TopModel::row_of(const ClientView& client) const {
  const auto old = std::find_if(before_.begin(), before_.end(),
                                [&client](const auto& c) { return c.key() == client.key(); });
  const auto gained = [&](const char* name) {
    const uint64_t now = client.counter(name);
    const uint64_t then = old == before_.end() ? 0 : old->counter(name);
    return static_cast<double>(now >= then ? now - then : now);
  };
  const auto rate = [&](const char* name) {
    return number(seconds_ > 0 ? gained(name) / seconds_ : 0.0);
  };
  const auto share = [&](const char* part, const char* whole) -> TopCell {
    const double all = gained(whole);
    if (all <= 0) return {"-", -1.0};
    return number(100.0 * gained(part) / all, 1);
  };
  return {{{client.name, 0},
           number(static_cast<double>(client.number)),
           {client.state(), 0},
           number(static_cast<double>(client.weight)),
           number(to_mib(client.pages_ephemeral * kPageBytes), 1),
           number(to_mib(client.pages_persistent * kPageBytes), 1),
           number(to_mib(client.charged_bytes), 1),
           rate("puts"),
           rate("gets"),
           share("hits", "gets"),
           rate("evicted_pages"),
           share("puts_duplicate", "puts"),
           share("puts_same_filled", "puts"),
           rate("puts_no_space"),
           number(to_mib(client.entitled_bytes), 1)}};
}

std::vector<TopRow> TopModel::rows(const TopOrder& order) const {
  std::vector<TopRow> rows;
  for (const ClientView& client : now_) rows.push_back(row_of(client));
  const bool by_text = !top_columns()[order.column].right;
  std::stable_sort(rows.begin(), rows.end(), [&](const TopRow& a, const TopRow& b) {
    const TopCell& first = (order.ascending ? a : b).cells[order.column];
    const TopCell& second = (order.ascending ? b : a).cells[order.column];
    return by_text ? first.text < second.text : first.value < second.value;
  });
  return rows;
}

std::vector<std::string> TopModel::header(std::string_view now) const {
  const json store = stats_.is_object() ? stats_.value("store", json::object()) : json::object();
  const auto mib_at = [&store](const char* pointer) { return mib(number_at(store, pointer)); };
  const uint64_t ephemeral_bytes = number_at(store, "/pages/ephemeral") * kPageBytes;
  const uint64_t persistent_bytes = number_at(store, "/pages/persistent") * kPageBytes;
  const uint64_t held_bytes = number_at(store, "/held_bytes");
  const double ratio =
      held_bytes == 0 ? 0 : to_mib(ephemeral_bytes + persistent_bytes) / to_mib(held_bytes);
  return {
      fmt::format("tmem - {}  tmemd {} up {}  {} clients", now, text_at(stats_, "/version"),
                  duration(number_at(stats_, "/uptime_ms") / 1000), number_at(store, "/clients")),
      fmt::format("MiB: memory {} held {} freeable {} eph {} pers {} x{:.2f}",
                  mib_at("/budget_bytes"), mib(held_bytes), mib_at("/freeable_bytes"),
                  mib(ephemeral_bytes), mib(persistent_bytes), ratio),
      fmt::format("MiB by tier: raw {} lz4 {} zstd {}  pages: same {} dup {} evicted {}",
                  mib_at("/tier_bytes/raw"), mib_at("/tier_bytes/lz4"), mib_at("/tier_bytes/zstd"),
                  number_at(store, "/same_filled_pages"), number_at(store, "/duplicate_pages"),
                  number_at(store, "/evicted_pages"))};
}

std::string TopModel::title_line(size_t width, const TopOrder& order, bool full_names) {
  return line_of(width, full_names, [&order](size_t i) {
    const std::string title(top_columns()[i].title);
    if (i != order.column) return title;
    // The mark takes the last place where the title fills its column.
    const std::string marked = title + (order.ascending ? '^' : 'v');
    return i != 0 && marked.size() > top_columns()[i].width ? title : marked;
  });
}

std::string TopModel::row_line(const TopRow& row, size_t width, bool full_names) {
  return line_of(width, full_names, [&row](size_t i) { return row.cells[i].text; });
}

}  // namespace tmem::cli
