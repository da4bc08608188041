// SPDX-License-Identifier: GPL-2.0-or-later
// Verbs that show the host's side: info, freeable, stats, version.
#include <fmt/format.h>

#include "libtmem/base/units.h"
#include "tools/tmem/verbs.h"
#include "tools/tmem/view.h"

namespace tmem::cli {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

std::string to_text(const Lines& lines) {
  std::string text;
  for (const auto& [key, value] : lines) text += fmt::format("{:<25}: {}\n", key, value);
  return text;
}

Lines info_lines(const json& info) {
  const json store = info.value("store", json::object());
  const auto mib_at = [&store](const char* pointer) { return mib(number_at(store, pointer)); };
  const auto count_at = [&store](const char* pointer) {
    return std::to_string(number_at(store, pointer));
  };
  const uint64_t apparent_bytes =
      (number_at(store, "/pages/ephemeral") + number_at(store, "/pages/persistent")) * kPageBytes;
  const uint64_t held_bytes = number_at(store, "/held_bytes");
  const double ratio =
      held_bytes == 0 ? 0.0 : static_cast<double>(apparent_bytes) / static_cast<double>(held_bytes);
  Lines lines = {
      {"version", text_at(info, "/version")},
      {"uptime", duration(number_at(info, "/uptime_ms") / 1000)},
      {"store_epoch", text_at(info, "/store_epoch")},
      {"clients", count_at("/clients")},
      {"memory_mib", mib_at("/budget_bytes")},
      {"held_mib", mib(held_bytes)},
      {"metadata_mib", mib_at("/metadata_bytes")},
      {"metadata_own_mib", mib_at("/heap_bytes")},
      {"reserve_mib", mib_at("/reserve_bytes")},
      {"guaranteed_mib", mib_at("/guaranteed_bytes")},
      {"freeable_mib", mib_at("/freeable_bytes")},
      {"apparent_mib", mib(apparent_bytes)},
      {"apparent_to_held", fmt::format("{:.2f}", ratio)},
      {"ephemeral_pages", count_at("/pages/ephemeral")},
      {"persistent_pages", count_at("/pages/persistent")},
      {"ephemeral_stored_mib", mib_at("/stored_bytes/ephemeral")},
      {"persistent_stored_mib", mib_at("/stored_bytes/persistent")},
      {"same_filled_pages", count_at("/same_filled_pages")},
      {"duplicate_pages", count_at("/duplicate_pages")},
      {"contents", count_at("/contents")},
  };
  for (const char* const tier : {"raw", "lz4", "zstd"}) {
    const std::string name(tier);
    lines.emplace_back(name + "_pages", count_at(("/tier_pages/" + name).c_str()));
    lines.emplace_back(name + "_mib", mib_at(("/tier_bytes/" + name).c_str()));
  }
  for (const char* const counter :
       {"compressed_pages", "recompressed_pages", "incompressible_pages", "evicted_pages",
        "cleaned_pages", "segments", "released_slots"})
    lines.emplace_back(counter, count_at((std::string("/") + counter).c_str()));
  return lines;
}

// The value at `pointer` as text, "-" where it is unknown.
std::string mib_or_none(const json& object, const char* pointer) {
  const json::json_pointer place(pointer);
  const bool known = object.contains(place) && object[place].is_number();
  return known ? mib(object[place].get<uint64_t>()) : "-";
}

// What the pool's memory is made of, and the host's. None of a daemon that does not say.
Lines memory_lines(const json& memory) {
  if (!memory.is_object()) return {};
  const auto text_or_none = [](const std::string& text) { return text.empty() ? "-" : text; };
  const json domain = memory.value("pool_domain", json());
  const json stranded = memory.value("stranded_slots", json());
  const bool room = !text_at(memory, "/room/state").empty();
  return {
      {"provider", text_or_none(text_at(memory, "/provider"))},
      {"pool_domain", domain.is_number() ? domain.dump() : "-"},
      {"provider_held_mib", mib_or_none(memory, "/held_bytes")},
      {"provider_limit_mib", mib_or_none(memory, "/limit_bytes")},
      {"provider_freeable_mib", mib_or_none(memory, "/freeable_bytes")},
      {"stranded_slots", stranded.is_number() ? stranded.dump() : "-"},
      {"take_mib_per_s", mib_or_none(memory, "/take_bytes_per_s")},
      {"give_back_mib_per_s", mib_or_none(memory, "/give_back_bytes_per_s")},
      {"host_total_mib", mib_or_none(memory, "/host/total_bytes")},
      {"host_free_mib", mib_or_none(memory, "/host/free_bytes")},
      {"host_claimed_mib", mib_or_none(memory, "/host/claimed_bytes")},
      {"head_room_mib", mib_or_none(memory, "/head_room_bytes")},
      {"room_state", text_or_none(text_at(memory, "/room/state"))},
      {"room_wanted_mib", mib_or_none(memory, "/room/wanted_bytes")},
      {"room_hold_s", room ? std::to_string(number_at(memory, "/room/hold_ms") / 1000) : "-"},
  };
}

int run_info(const Globals& globals, const std::string& key) {
  Daemon daemon(globals);
  const auto info = daemon.ask("info", json::object());
  if (!info) return daemon.exit_code();
  if (globals.as_json && key.empty()) return print_json(*info);
  Lines lines = info_lines(*info);
  for (auto& line : memory_lines(info->value("memory", json()))) lines.push_back(std::move(line));
  if (key.empty()) return print(to_text(lines));
  for (const auto& [name, value] : lines)
    if (name == key) return globals.as_json ? print_json(json(value)) : print(value + '\n');
  return complain(kExitFailed, "no key \"" + key + "\": tmem info shows all of them");
}

int run_freeable(const Globals& globals) {
  Daemon daemon(globals);
  const auto result = daemon.ask("freeable", json::object());
  if (!result) return daemon.exit_code();
  if (globals.as_json) return print_json(*result);
  return print(std::to_string(number_at(*result, "/freeable_bytes") / kMiB) + '\n');
}

// Every number of the answer as "path.to.it: value".
void flatten(const json& value, const std::string& path, Lines& lines) {
  if (value.is_object()) {
    for (const auto& [key, child] : value.items())
      flatten(child, path + (path.empty() ? "" : ".") + plain(key, 60), lines);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      const uint64_t number = number_at(value[i], "/number");
      flatten(value[i], path + '.' + std::to_string(number != 0 ? number : i), lines);
    }
  } else {
    lines.emplace_back(path, value.is_string() ? text_at(value, "") : value.dump());
  }
}

int run_stats(const Globals& globals) {
  Daemon daemon(globals);
  const auto result = daemon.ask("stats", json::object());
  if (!result) return daemon.exit_code();
  if (globals.as_json) return print_json(*result);
  Lines lines;
  flatten(*result, "", lines);
  std::string text;
  for (const auto& [key, value] : lines) text += key + ": " + value + '\n';
  return print(text);
}

int run_version(const Globals& globals) {
  Daemon daemon(globals);
  const auto result = daemon.ask("version", json::object());
  if (globals.as_json) {
    json both = {{"tmem", TMEM_VERSION}, {"tmemd", result ? *result : json()}};
    const int printed = print_json(both);
    return result ? printed : daemon.exit_code();
  }
  std::string text = "tmem  " TMEM_VERSION "\n";
  if (result)
    text += fmt::format("tmemd {} (protocol {})\n", text_at(*result, "/version"),
                        number_at(*result, "/protocol"));
  const int printed = print(text);
  return result ? printed : daemon.exit_code();
}

}  // namespace

void add_info(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const info =
      app.add_subcommand("info", "Show the pool: memory, pages, tiers; the host's memory");
  auto key = std::make_shared<std::string>();
  info->add_option("key", *key, "print only the value of this line")->type_name("KEY");
  info->callback([&globals, &chosen, key] {
    chosen.run = [&globals, key] { return run_info(globals, *key); };
  });
  app.add_subcommand("freeable", "Print the memory in MiB that could be given back at once")
      ->callback([&] { chosen.run = [&globals] { return run_freeable(globals); }; });
  app.add_subcommand("stats", "Print every counter, one a line")->callback([&] {
    chosen.run = [&globals] { return run_stats(globals); };
  });
  app.add_subcommand("version", "Print the versions of tmem and tmemd")->callback([&] {
    chosen.run = [&globals] { return run_version(globals); };
  });
}

}  // namespace tmem::cli
