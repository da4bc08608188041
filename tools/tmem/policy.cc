// SPDX-License-Identifier: GPL-2.0-or-later
// tmem policy: how memory is scheduled among the guests, and changes of that.
#include <fmt/format.h>

#include <cstdlib>

#include "tmem/text.hpp"
#include "tools/tmem/verbs.h"
#include "tools/tmem/view.h"

namespace tmem::cli {
namespace {

using Problem = std::string;

std::string mode_text(const json& policy) {
  const std::string mode = plain(text_at(policy, "/mode"));
  const std::string effective = plain(text_at(policy, "/effective_mode"));
  if (mode == effective) return mode;
  const std::string rival = plain(text_at(policy, "/rival"));
  return fmt::format("{}, but {} while {} runs", mode, effective,
                     rival.empty() ? "it begins" : rival);
}

std::string log_text(const json& policy) {
  const json log = policy.value("log", json());
  if (!log.is_object()) return "none";
  std::string text =
      fmt::format("{}, {} MiB", plain(text_at(log, "/path")), mib(number_at(log, "/bytes")));
  if (const uint64_t errors = number_at(log, "/write_errors"); errors != 0)
    text += fmt::format(", {} write errors", errors);
  if (const uint64_t lost = number_at(log, "/lost_bytes"); lost != 0)
    text += fmt::format(", {} MiB lost", mib(lost));
  return text;
}

std::string guest_state(const json& guest) {
  if (!guest.value("has_balloon", true)) return "no balloon";
  if (number_at(guest, "/over_bytes") != 0) return "over target";
  return guest.value("uncooperative", false) ? "uncooperative" : "ok";
}

std::string policy_text(const json& policy) {
  const auto line = [](std::string_view key, const std::string& value) {
    return fmt::format("{:<23}: {}\n", key, value);
  };
  const auto bytes = [&policy](const char* pointer) { return mib(number_at(policy, pointer)); };
  std::string text = line("mode", mode_text(policy));
  text += line("strategy", fmt::format("{}, knob {}", plain(text_at(policy, "/strategy")),
                                       policy.value("knob", 0.0)));
  text += line("ticks", fmt::format("{}, each {} ms", number_at(policy, "/ticks"),
                                    number_at(policy, "/period_ms")));
  if (policy.value("holding", false))
    text += line("holds all targets", plain(text_at(policy, "/holding_reason")));
  text += line("decision_log", log_text(policy));
  if (policy.value("host", json()).is_object()) {
    text += line("for_guests_mib", bytes("/host/for_guests_bytes"));
    text += line("free_mib", bytes("/host/free_bytes"));
    text += line("head_room_mib", bytes("/host/head_room_bytes"));
    text += line("claims_mib", bytes("/host/claims_bytes"));
    text += line("pool_held_mib", bytes("/host/pool_held_bytes"));
    text += line("pool_freeable_mib", bytes("/host/pool_freeable_bytes"));
  }
  Table table({{"ID"},
               {"Name", false, 20},
               {"Mode", false, 5},
               {"Min MiB"},
               {"Max MiB"},
               {"Weight"},
               {"Prio"},
               {"Has MiB"},
               {"Target"},
               {"State", false}});
  for (const json& guest : policy.value("guests", json::array())) {
    const std::string changed = guest.value("changed", false) ? "*" : "";
    table.add({std::to_string(number_at(guest, "/domid")), plain(text_at(guest, "/name"), 40),
               plain(text_at(guest, "/mode")) + changed,
               mib(number_at(guest, "/settings/min_bytes")),
               mib(number_at(guest, "/settings/max_bytes")),
               std::to_string(number_at(guest, "/settings/weight")),
               std::to_string(number_at(guest, "/settings/priority")),
               mib(number_at(guest, "/actual_bytes")), mib(number_at(guest, "/target_bytes")),
               guest_state(guest)});
  }
  return text + "\n" + table.to_text();
}

int answer(const Globals& globals, Daemon& daemon, std::string_view verb, const json& args) {
  const auto policy = daemon.ask(verb, args);
  if (!policy) return daemon.exit_code();
  return globals.as_json ? print_json(*policy) : print(policy_text(*policy));
}

// Adds one KEY=VALUE to the request.
std::optional<Problem> add_setting(const std::string& setting, bool of_guest, json& args) {
  const size_t equals = setting.find('=');
  const std::string key = setting.substr(0, equals);
  const std::string value = setting.substr(equals + 1);
  if (of_guest && (key == "min" || key == "max")) {
    const auto bytes = parse_size_bytes(value);
    if (!bytes) return key + ": write a size such as 512M or 2G";
    args[key + "_bytes"] = *bytes;
  } else if (of_guest && (key == "weight" || key == "priority")) {
    const auto number = parse_number(value);
    if (!number) return key + ": write a whole number";
    args[key] = *number;
  } else if (!of_guest && key == "knob") {
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0') return Problem("knob: write a number");
    args[key] = number;
  } else if (key == "mode" || (!of_guest && key == "strategy")) {
    args[key] = value;
  } else {
    return key + ": known are " +
           (of_guest ? "mode, min, max, weight, priority" : "mode, strategy, knob");
  }
  return std::nullopt;
}

struct SetOptions {
  std::vector<std::string> words;  // perhaps a guest, then KEY=VALUE
  bool reset = false;
};

int run_set(const Globals& globals, const SetOptions& options) {
  json args = json::object();
  auto word = options.words.begin();
  const bool of_guest = word != options.words.end() && word->find('=') == std::string::npos;
  if (of_guest) args["guest"] = *word++;
  if (options.reset && !of_guest) return complain(kExitUsage, "--reset: say of which guest");
  if (options.reset) args["reset"] = true;
  if (word == options.words.end() && !options.reset)
    return complain(kExitUsage, "say what to set, as in mode=host, or GUEST min=512M");
  for (; word != options.words.end(); ++word) {
    if (word->find('=') == std::string::npos)
      return complain(kExitUsage, *word + ": write KEY=VALUE");
    if (const auto problem = add_setting(*word, of_guest, args))
      return complain(kExitUsage, *problem);
  }
  Daemon daemon(globals);
  return answer(globals, daemon, "policy-set", args);
}

}  // namespace

void add_policy(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb =
      app.add_subcommand("policy", "How memory is scheduled among the guests; change that");
  verb->require_subcommand(1);
  CLI::App* const show = verb->add_subcommand("show", "The policy, the host and each guest");
  show->callback([&globals, &chosen] {
    chosen.run = [&globals] {
      Daemon daemon(globals);
      return answer(globals, daemon, "policy", json::object());
    };
  });
  CLI::App* const set = verb->add_subcommand("set", "Change the policy, or a guest's settings");
  auto options = std::make_shared<SetOptions>();
  set->add_option("settings", options->words, "[GUEST] KEY=VALUE...")->type_name("WORD");
  set->add_flag("--reset", options->reset, "first forget what was changed for this guest");
  set->footer(
      "Of all: mode=off|advise|host, strategy=NAME, knob=NUMBER. mode=advise is a dry run.\n"
      "Of a guest: mode=off|guest|host, min=SIZE, max=SIZE, weight=NUMBER, priority=NUMBER.\n"
      "Changes last until tmemd ends; for good, write them into tmemd.toml.");
  set->callback([&globals, &chosen, options] {
    chosen.run = [&globals, options] { return run_set(globals, *options); };
  });
}

}  // namespace tmem::cli
