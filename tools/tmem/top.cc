// SPDX-License-Identifier: GPL-2.0-or-later
// tmem top: batch output, or the full screen of top_screen.cc.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <thread>

#include "tools/tmem/top_model.h"
#include "tools/tmem/top_screen.h"
#include "tools/tmem/verbs.h"

namespace tmem::cli {
namespace {

constexpr size_t kBatchWidth = 160;

int run_batch(const Globals& globals, const TopOptions& options) {
  Daemon daemon(globals);
  TopModel model;
  for (uint64_t shown = 0; options.iterations == 0 || shown < options.iterations; ++shown) {
    if (shown != 0) std::this_thread::sleep_for(std::chrono::duration<double>(options.delay_s));
    const auto stats = daemon.ask("stats", json::object());
    if (!stats) return daemon.exit_code();
    if (globals.as_json) {
      const int printed = print(stats->dump() + '\n');
      if (printed != kExitOk) return printed;
      continue;
    }
    model.update(*stats);
    std::string text;
    for (const std::string& line : model.header(wall_clock())) text += line + '\n';
    text += TopModel::title_line(kBatchWidth, options.order, options.full_names) + '\n';
    for (const TopRow& row : model.rows(options.order))
      text += TopModel::row_line(row, kBatchWidth, options.full_names) + '\n';
    const int printed = print(text + '\n');
    if (printed != kExitOk) return printed;
  }
  return kExitOk;
}

int run_top(const Globals& globals, const TopOptions& options) {
  if (options.batch) return run_batch(globals, options);
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0)
    return complain(kExitUsage, "top needs a terminal: use -b for plain output");
  return run_screen(globals, options);
}

std::string order_help() {
  std::string text =
      "Keys: q quit, < and > choose the column to sort by, r reverse, F full names,\n"
      "arrows scroll, ? help, space refresh; or a column's own key:\n";
  for (const TopColumn& column : top_columns())
    text += fmt::format("  {}  {:<9} {}\n", column.key, column.title, column.meaning);
  return text;
}

}  // namespace

std::string wall_clock() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  if (localtime_r(&now, &parts) == nullptr) return "";
  return fmt::format("{:%H:%M:%S}", parts);
}

void add_top(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb = app.add_subcommand("top", "Watch the clients, refreshing");
  auto options = std::make_shared<TopOptions>();
  auto sort_key = std::make_shared<std::string>("e");
  verb->add_option("-d,--delay", options->delay_s, "seconds between refreshes")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str()
      ->type_name("SECONDS");
  verb->add_flag("-b,--batch", options->batch, "plain text, for files and pipes");
  verb->add_option("-i,--iterations", options->iterations, "refreshes before it ends; 0: no end")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 62))
      ->type_name("N");
  verb->add_option("-o,--order", *sort_key, "key of the column to sort by")->type_name("KEY");
  verb->add_flag("-r,--reverse", options->order.ascending, "smallest first");
  verb->add_flag("-f,--full-name", options->full_names, "do not shorten names");
  verb->footer(order_help());
  verb->callback([&globals, &chosen, options, sort_key] {
    chosen.run = [&globals, options, sort_key] {
      for (size_t i = 0; i < top_columns().size(); ++i) {
        if (sort_key->size() != 1 || (*sort_key)[0] != top_columns()[i].key) continue;
        options->order.column = i;
        return run_top(globals, *options);
      }
      return complain(kExitUsage, "-o: no column has the key \"" + *sort_key + "\": see top -h");
    };
  });
}

}  // namespace tmem::cli
