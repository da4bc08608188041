// SPDX-License-Identifier: GPL-2.0-or-later
// Verbs that drop pages or end things: flush, destroy, set-memory, shutdown.
#include <fmt/format.h>

#include "libtmem/base/units.h"
#include "tmem/text.hpp"
#include "tools/tmem/verbs.h"
#include "tools/tmem/view.h"

namespace tmem::cli {
namespace {

struct FlushOptions {
  std::vector<std::string> words;  // [client] [SIZE]
  bool all = false;
};

// Sorts out the positional words: with -a only a size may follow.
tl::expected<json, std::string> flush_args(const FlushOptions& options) {
  const size_t words = options.words.size();
  if (!options.all && words == 0) return tl::make_unexpected("say which client, or -a for all");
  if (!options.all && words == 2)
    return tl::make_unexpected("SIZE goes with -a only: the scheduler chooses whose pages go");
  if (options.all && words == 2) return tl::make_unexpected("say either a client or -a, not both");
  if (!options.all) return json{{"client", options.words[0]}};
  json args = {{"all", true}};
  if (words == 1) {
    const auto bytes = parse_size_bytes(options.words[0]);
    if (!bytes) return tl::make_unexpected("after -a write a size such as 512M, or nothing");
    args["bytes"] = *bytes;
  }
  return args;
}

int run_flush(const Globals& globals, const FlushOptions& options) {
  const auto args = flush_args(options);
  if (!args) return complain(kExitUsage, args.error());
  Daemon daemon(globals);
  const auto result = daemon.ask("flush", *args);
  if (!result) return daemon.exit_code();
  if (globals.as_json) return print_json(*result);
  return print(fmt::format("dropped {} pages\n", number_at(*result, "/dropped_pages")));
}

void add_flush(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb = app.add_subcommand("flush", "Drop ephemeral pages (clean page cache)");
  auto options = std::make_shared<FlushOptions>();
  verb->add_option("what", options->words, "a client; or, after -a, how much memory to free")
      ->expected(0, 2)
      ->type_name("[CLIENT] [SIZE]");
  verb->add_flag("-a,--all", options->all, "of all clients and shared pools");
  verb->footer("Nothing is lost: guests read such pages from disk again. Persistent pages stay.");
  verb->callback([&globals, &chosen, options] {
    chosen.run = [&globals, options] { return run_flush(globals, *options); };
  });
}

void add_destroy(CLI::App& app, const Globals& globals, Chosen& chosen) {
  struct DestroyOptions {
    std::string client;
    bool force = false;
  };
  CLI::App* const verb = app.add_subcommand("destroy", "Disconnect a client and drop its pages");
  auto options = std::make_shared<DestroyOptions>();
  verb->add_option("client", options->client, "number, name or uuid")
      ->required()
      ->type_name("CLIENT");
  verb->add_flag("-f,--force", options->force, "even if it holds persistent pages: they are lost");
  verb->callback([&globals, &chosen, options] {
    chosen.run = [&globals, options] {
      Daemon daemon(globals);
      const auto result =
          daemon.ask("destroy", {{"client", options->client}, {"force", options->force}});
      if (!result) return daemon.exit_code();
      return globals.as_json ? print_json(*result) : kExitOk;
    };
  });
}

int run_set_memory(const Globals& globals, const std::string& size) {
  const auto bytes = parse_size_bytes(size);
  if (!bytes) return complain(kExitUsage, "write a size such as 512M or 2G");
  Daemon daemon(globals);
  const auto result = daemon.ask("set-memory", {{"bytes", *bytes}});
  if (!result) return daemon.exit_code();
  if (globals.as_json) return print_json(*result);
  return print(fmt::format("{} MiB, was {} MiB\n", mib(number_at(*result, "/budget_bytes")),
                           mib(number_at(*result, "/previous_bytes"))));
}

void add_set_memory(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb =
      app.add_subcommand("set-memory", "Change how much memory the pool may hold");
  auto size = std::make_shared<std::string>();
  verb->add_option("size", *size, "the new size")->required()->type_name("SIZE");
  verb->footer(
      "At most [pool] memory of tmemd.toml. Shrinking drops ephemeral pages as needed; it\n"
      "is refused where persistent pages and guarantees would not fit.");
  verb->callback([&globals, &chosen, size] {
    chosen.run = [&globals, size] { return run_set_memory(globals, *size); };
  });
}

void add_shutdown(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb = app.add_subcommand("shutdown", "Stop tmemd");
  auto force = std::make_shared<bool>(false);
  verb->add_flag("-f,--force", *force, "even if persistent pages are held: they are lost");
  verb->callback([&globals, &chosen, force] {
    chosen.run = [&globals, force] {
      Daemon daemon(globals);
      const auto result = daemon.ask("shutdown", {{"force", *force}});
      if (!result) return daemon.exit_code();
      return globals.as_json ? print_json(*result) : kExitOk;
    };
  });
}

}  // namespace

void add_lifecycle(CLI::App& app, const Globals& globals, Chosen& chosen) {
  add_flush(app, globals, chosen);
  add_destroy(app, globals, chosen);
  add_set_memory(app, globals, chosen);
  add_shutdown(app, globals, chosen);
}

}  // namespace tmem::cli
