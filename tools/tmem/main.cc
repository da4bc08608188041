// SPDX-License-Identifier: GPL-2.0-or-later
// tmem: the administrator's command line, in the manner of xl.
#include <fmt/format.h>

#include <cstdlib>

#include "tools/tmem/cli.h"
#include "tools/tmem/verbs.h"

namespace tmem::cli {
namespace {

constexpr const char* kFooter =
    "CLIENT is a number, a name or a uuid, as `tmem list` shows them. SIZE is in MiB, or has a\n"
    "suffix b, k, m, g or t. The socket is also taken from the environment variable TMEM_SOCKET.\n"
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no tmemd answers.\n"
    "`tmem VERB -h` explains a verb; the manual is tmem(1).";

void add_help(CLI::App& app, Chosen& chosen) {
  CLI::App* const verb = app.add_subcommand("help", "Explain tmem, or one verb");
  auto about = std::make_shared<std::string>();
  verb->add_option("verb", *about, "the verb to explain");
  verb->callback([&app, &chosen, about] {
    chosen.run = [&app, about] {
      // Not app.help(): that would explain the verb that was given, "help".
      if (about->empty())
        return print(app.get_formatter()->make_help(&app, "tmem", CLI::AppFormatMode::Normal));
      for (const CLI::App* const known : app.get_subcommands([](const CLI::App*) { return true; }))
        if (known->get_name() == *about) return print(known->help("tmem"));
      return complain(kExitUsage, "no verb \"" + *about + "\": see tmem help");
    };
  });
}

int parse_and_run(int argc, const char* const* argv) {
  Globals globals;
  Chosen chosen;
  CLI::App app("Shows and changes what tmemd, the transcendent memory daemon, does.", "tmem");
  app.footer(kFooter);
  app.fallthrough();
  app.add_option("-s,--socket", globals.socket_path, "tmemd's control socket")
      ->envname("TMEM_SOCKET")
      ->capture_default_str()
      ->type_name("PATH");
  app.add_option("--timeout", globals.timeout_ms, "milliseconds to wait for an answer")
      ->check(CLI::Range(uint32_t{1}, uint32_t{3'600'000}))
      ->capture_default_str()
      ->type_name("MS");
  app.add_flag("--json", globals.as_json, "print the daemon's answer as JSON");
  app.set_version_flag("-V,--version", "tmem " TMEM_VERSION);
  app.require_subcommand(0, 1);  // 0: so that main can say what is wrong in its own words
  add_list(app, globals, chosen);
  add_info(app, globals, chosen);
  add_settings(app, globals, chosen);
  add_lifecycle(app, globals, chosen);
  add_evacuate(app, globals, chosen);
  add_room(app, globals, chosen);
  add_policy(app, globals, chosen);
  add_why(app, globals, chosen);
  add_top(app, globals, chosen);
  add_help(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // -h, --version
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    const auto verbs = app.get_subcommands();
    const std::vector<std::string> rest = app.remaining();
    if (verbs.empty() && !rest.empty() && !rest[0].starts_with('-'))
      return complain(kExitUsage, "no verb \"" + rest[0] + "\": see tmem help");
    const std::string help = verbs.empty() ? "tmem help" : "tmem " + verbs[0]->get_name() + " -h";
    return complain(kExitUsage, std::string(error.what()) + " (see " + help + ")");
  }
  if (!chosen.run) return complain(kExitUsage, "say what to do: see tmem help");
  return chosen.run();
}

}  // namespace

void add_target(CLI::App& verb, Target& target, const char* all_help) {
  verb.add_option("client", target.client, "number, name or uuid")->type_name("CLIENT");
  verb.add_flag("-a,--all", target.all, all_help);
}

}  // namespace tmem::cli

int main(int argc, char** argv) {
  try {
    return tmem::cli::parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    return tmem::cli::complain(tmem::cli::kExitFailed,
                               std::string("cannot go on: ") + error.what());
  }
}
