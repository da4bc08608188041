// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/tmem/top_screen.h"

#include <fmt/format.h>

#define NCURSES_NOMACROS 1
#include <ncurses.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <memory>

#include "libtmem/base/clock.h"

namespace tmem::cli {
namespace {

constexpr int kControlC = 3;
constexpr int kHeaderLines = 3;

// The terminal in full-screen mode; the destructor puts it back.
class Terminal {
 public:
  Terminal() : screen_(newterm(nullptr, stdout, stdin)) {
    if (screen_ == nullptr) return;
    set_term(screen_);
    raw();  // so that ^C comes as a key and the terminal is always put back
    noecho();
    keypad(stdscr, true);
    curs_set(0);
  }
  ~Terminal() {
    if (screen_ == nullptr) return;
    endwin();
    delscreen(screen_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool works() const { return screen_ != nullptr; }

 private:
  SCREEN* const screen_;  // owned
};

class TopScreen {
 public:
  TopScreen(const TopOptions& options) : options_(options), order_(options.order) {}

  TopModel model;
  std::string problem;  // shown instead of the third header line

  void draw();
  // False: the user wants to quit.
  bool handle(int key);
  // True once after a key that asks for new figures.
  bool take_refresh() { return std::exchange(refresh_, false); }

 private:
  void draw_line(int y, const std::string& text, attr_t attributes = A_NORMAL) const;
  void draw_help();
  void scroll(int lines) { first_ = std::max(0, first_ + lines); }

  const TopOptions& options_;
  TopOrder order_;
  bool full_names_ = options_.full_names;
  bool help_ = false;
  bool refresh_ = false;
  int first_ = 0;  // row at the top of the list
};

void TopScreen::draw_line(int y, const std::string& text, attr_t attributes) const {
  const int width = getmaxx(stdscr);
  if (y >= getmaxy(stdscr)) return;
  attron(static_cast<int>(attributes));
  mvaddnstr(y, 0, fmt::format("{:<{}}", text, width).c_str(), width);
  attroff(static_cast<int>(attributes));
}

void TopScreen::draw_help() {
  int y = 0;
  draw_line(y++,
            "q quit   < > sort column   r reverse   F full names   arrows scroll   any key back",
            A_REVERSE);
  for (const TopColumn& column : top_columns())
    draw_line(y++, fmt::format("  {}  {:<9} {}", column.key, column.title, column.meaning));
}

void TopScreen::draw() {
  erase();
  if (help_) {
    draw_help();
    wrefresh(stdscr);
    return;
  }
  const auto width = static_cast<size_t>(std::max(1, getmaxx(stdscr)));
  std::vector<std::string> header = model.header(wall_clock());
  if (!problem.empty()) header[kHeaderLines - 1] = problem;
  for (int y = 0; y < kHeaderLines; ++y)
    draw_line(y, header[static_cast<size_t>(y)], y == 0 ? A_BOLD : A_NORMAL);
  draw_line(kHeaderLines, TopModel::title_line(width, order_, full_names_), A_REVERSE);
  const std::vector<TopRow> rows = model.rows(order_);
  const int visible = std::max(0, getmaxy(stdscr) - kHeaderLines - 1);
  first_ = std::clamp(first_, 0, std::max(0, static_cast<int>(rows.size()) - visible));
  for (int i = 0; i < visible && first_ + i < static_cast<int>(rows.size()); ++i)
    draw_line(kHeaderLines + 1 + i,
              TopModel::row_line(rows[static_cast<size_t>(first_ + i)], width, full_names_));
  wrefresh(stdscr);
}

bool TopScreen::handle(int key) {
  const size_t columns = top_columns().size();
  if (key == 'q' || key == 'Q' || key == kControlC) return false;
  if (help_ && key != KEY_RESIZE) {
    help_ = false;
    return true;
  }
  if (key == '?' || key == KEY_F(1)) help_ = true;
  if (key == '<' || key == KEY_LEFT) order_.column = (order_.column + columns - 1) % columns;
  if (key == '>' || key == KEY_RIGHT) order_.column = (order_.column + 1) % columns;
  if (key == 'r') order_.ascending = !order_.ascending;
  if (key == 'F') full_names_ = !full_names_;
  if (key == ' ') refresh_ = true;
  if (key == KEY_UP) scroll(-1);
  if (key == KEY_DOWN) scroll(1);
  if (key == KEY_PPAGE) scroll(-(getmaxy(stdscr) - kHeaderLines - 1));
  if (key == KEY_NPAGE) scroll(getmaxy(stdscr) - kHeaderLines - 1);
  for (size_t i = 0; i < columns; ++i)
    if (key == top_columns()[i].key) order_.column = i;
  return true;
}

// Handles keys until the next refresh is due. False: quit.
bool wait_for_keys(TopScreen& screen, uint64_t until_ms) {
  const SteadyClock clock;
  while (true) {
    const uint64_t now_ms = clock.now_ms();
    if (now_ms >= until_ms || screen.take_refresh()) return true;
    wtimeout(stdscr, static_cast<int>(std::min<uint64_t>(until_ms - now_ms, 60'000)));
    const int key = wgetch(stdscr);
    if (key == ERR) continue;
    if (!screen.handle(key)) return false;
    screen.draw();
  }
}

}  // namespace

int run_screen(const Globals& globals, const TopOptions& options) {
  Daemon daemon(globals);
  auto stats = daemon.try_ask("stats", json::object());
  if (!stats) return complain(daemon.exit_code(), stats.error().message);
  (void)std::setlocale(LC_ALL, "");
  const Terminal terminal;
  if (!terminal.works())
    return complain(kExitUsage, "the terminal cannot be used: is TERM right? Or use -b");
  TopScreen screen(options);
  const SteadyClock clock;
  for (uint64_t shown = 0; options.iterations == 0 || shown < options.iterations; ++shown) {
    if (shown != 0) stats = daemon.try_ask("stats", json::object());
    screen.problem = stats ? "" : "NO ANSWER: " + stats.error().message;
    if (stats) screen.model.update(*stats);
    screen.draw();
    const auto delay_ms = static_cast<uint64_t>(options.delay_s * 1000);
    if (!wait_for_keys(screen, clock.now_ms() + delay_ms)) break;
  }
  return kExitOk;
}

}  // namespace tmem::cli
