// SPDX-License-Identifier: GPL-2.0-or-later
// Verbs that change what clients may do: set, freeze, thaw, shared-auth.
#include <fmt/format.h>

#include "libtmem/base/units.h"
#include "tmem/text.hpp"
#include "tools/tmem/verbs.h"
#include "tools/tmem/view.h"

namespace tmem::cli {
namespace {

constexpr uint64_t kWeightMax = 1'000'000;
constexpr const char* kNoTarget = "say which client, or -a for all";

struct SetOptions {
  Target target;
  std::optional<uint64_t> weight;
  std::string cap;
  std::string compress;
  std::string guarantee;
  std::string dedup;
  std::string group;
};

// The request's arguments; a text says what is wrong with the options.
tl::expected<json, std::string> set_args(const SetOptions& options) {
  json args = options.target.to_args();
  const size_t bare = args.size();
  if (options.weight) args["weight"] = *options.weight;
  if (options.cap == "none") {
    args["cap_pages"] = nullptr;
  } else if (!options.cap.empty()) {
    const auto cap_bytes = parse_size_bytes(options.cap);
    if (!cap_bytes) return tl::make_unexpected("-c: write a size such as 512M, or none");
    args["cap_pages"] = *cap_bytes / kPageBytes;
  }
  if (!options.guarantee.empty()) {
    const auto guarantee_bytes = parse_size_bytes(options.guarantee);
    if (!guarantee_bytes) return tl::make_unexpected("-g: write a size such as 512M");
    args["guarantee_bytes"] = *guarantee_bytes;
  }
  if (!options.compress.empty()) args["compress"] = options.compress == "1";
  if (!options.dedup.empty()) args["dedup"] = options.dedup;
  if (!options.group.empty()) args["dedup_group"] = options.group;
  if (args.size() == bare) return tl::make_unexpected("nothing to set: give -w, -c, -p, -g or -d");
  return args;
}

int run_change(const Globals& globals, std::string_view verb, const json& args) {
  Daemon daemon(globals);
  const auto result = daemon.ask(verb, args);
  if (!result) return daemon.exit_code();
  return globals.as_json ? print_json(*result) : kExitOk;
}

void add_set(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb = app.add_subcommand("set", "Change a client's weight, cap and so on");
  auto options = std::make_shared<SetOptions>();
  add_target(*verb, options->target, "all connected clients");
  verb->add_option("-w,--weight", options->weight, "share of the ephemeral memory; 0: leftovers")
      ->check(CLI::Range(uint64_t{0}, kWeightMax))
      ->type_name("WEIGHT");
  verb->add_option("-c,--cap", options->cap, "most it may hold, before dedup; none: no cap")
      ->type_name("SIZE");
  verb->add_option("-p,--compress", options->compress, "compress its pages (1) or not (0)")
      ->check(CLI::IsMember({"0", "1"}))
      ->type_name("0|1");
  verb->add_option("-g,--guarantee", options->guarantee, "memory kept for its persistent pages")
      ->type_name("SIZE");
  verb->add_option("-d,--dedup", options->dedup, "with whose pages equal ones are shared")
      ->check(CLI::IsMember({"none", "client", "group", "host"}))
      ->type_name("SCOPE");
  verb->add_option("-G,--dedup-group", options->group, "name of the group, with -d group")
      ->type_name("NAME");
  verb->footer(
      "SCOPE is none, client, group or host. Sharing with other clients lets a client find out,\n"
      "by timing, whether another holds the same page: name only clients that trust each other.");
  verb->callback([&globals, &chosen, options] {
    chosen.run = [&globals, options] {
      if (!options->target.given()) return complain(kExitUsage, kNoTarget);
      const auto args = set_args(*options);
      if (!args) return complain(kExitUsage, args.error());
      return run_change(globals, "set", *args);
    };
  });
}

void add_freeze(CLI::App& app, const Globals& globals, Chosen& chosen, const std::string& name,
                const std::string& about) {
  CLI::App* const verb = app.add_subcommand(name, about);
  auto target = std::make_shared<Target>();
  add_target(*verb, *target, "all connected clients");
  verb->callback([&globals, &chosen, target, name] {
    chosen.run = [&globals, target, name] {
      if (!target->given()) return complain(kExitUsage, kNoTarget);
      return run_change(globals, name, target->to_args());
    };
  });
}

struct SharedOptions {
  Target target;
  std::string uuid;
  std::string allowed;
};

int list_shared(const Globals& globals) {
  Daemon daemon(globals);
  const auto result = daemon.ask("shared-list", json::object());
  if (!result) return daemon.exit_code();
  const json grants = result->value("grants", json::array());
  if (globals.as_json) return print_json(grants);
  Table table({{"Shared pool", false, 36}, {"Client", false, 36}});
  for (const json& grant : grants) table.add({text_at(grant, "/pool"), text_at(grant, "/client")});
  return print(table.to_text());
}

int run_shared_auth(const Globals& globals, const SharedOptions& options) {
  const bool bare = options.uuid.empty() && options.allowed.empty();
  if (bare && !options.target.all && options.target.client.empty()) return list_shared(globals);
  if (!options.target.given()) return complain(kExitUsage, kNoTarget);
  if (options.uuid.empty() || options.allowed.empty())
    return complain(kExitUsage, "give both -u UUID and -A 0|1, or nothing at all for the list");
  if (!parse_uuid(options.uuid))
    return complain(kExitUsage, "-u: write it as 8b5e0f6e-1c3a-4e7e-9f60-0242ac120002");
  json args = options.target.to_args();
  args["pool"] = options.uuid;
  args["allowed"] = options.allowed == "1";
  return run_change(globals, "shared-auth", args);
}

void add_shared_auth(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb =
      app.add_subcommand("shared-auth", "List or change who may join which shared pool");
  auto options = std::make_shared<SharedOptions>();
  add_target(*verb, options->target, "all connected clients");
  verb->add_option("-u,--uuid", options->uuid, "the shared pool")->type_name("UUID");
  verb->add_option("-A,--auth", options->allowed, "1: the client may join; 0: it may not")
      ->check(CLI::IsMember({"0", "1"}))
      ->type_name("0|1");
  verb->footer(
      "Without any option: lists the authorisations. A client that is not connected can\n"
      "be named by its uuid.");
  verb->callback([&globals, &chosen, options] {
    chosen.run = [&globals, options] { return run_shared_auth(globals, *options); };
  });
}

}  // namespace

void add_settings(CLI::App& app, const Globals& globals, Chosen& chosen) {
  add_set(app, globals, chosen);
  add_freeze(app, globals, chosen, "freeze", "Refuse new pages of a client");
  add_freeze(app, globals, chosen, "thaw", "Accept new pages of a client again");
  add_shared_auth(app, globals, chosen);
}

}  // namespace tmem::cli
