// SPDX-License-Identifier: GPL-2.0-or-later
// tmem make-room: the pool gives memory back until the host has room for a guest.
#include "libtmem/src/room.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "libtmem/base/units.h"
#include "tmem/text.hpp"
#include "tools/tmem/verbs.h"
#include "tools/tmem/view.h"

namespace tmem::cli {
namespace {

constexpr uint64_t kSecondsMax = 3600;
constexpr uint64_t kQuietMs = 1000;  // progress is shown of what lasts longer

struct RoomOptions {
  std::string size;
  std::string wait_s;  // empty: do not wait
  uint64_t hold_s = 60;
  bool cancel = false;
};

int wait_for_room(const Globals& globals, Daemon& daemon, const control::RoomRequest& request) {
  const SteadyClock clock;
  const bool terminal = isatty(STDERR_FILENO) != 0;
  bool shown = false;
  const control::RoomWaiter waiter{
      [&daemon](std::string_view verb, const json& args) { return daemon.try_ask(verb, args); },
      clock, [](uint64_t ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); },
      [&](const json& memory, uint64_t waited_ms) {
        if (!terminal || waited_ms < kQuietMs) return;
        shown = true;
        fmt::print(stderr, "\r{} of {} MiB are free after {} s ",
                   mib(control::unclaimed_bytes(memory)), mib(request.bytes), waited_ms / 1000);
      }};
  const auto room = control::wait_for_room(waiter, request);
  if (shown) fmt::print(stderr, "\n");
  if (!room) return complain(daemon.exit_code(), room.error().message);
  if (room->outcome != control::RoomOutcome::kReady)
    return complain(kExitFailed, "no room: " + room->problem);
  if (globals.as_json) return print_json(room->memory);
  return print(fmt::format("{}\n", control::unclaimed_bytes(room->memory) / kMiB));
}

// Asks, and says how things stand.
int run_once(const Globals& globals, Daemon& daemon, const json& args) {
  const auto memory = daemon.ask("make-room", args);
  if (!memory) return daemon.exit_code();
  if (globals.as_json) return print_json(*memory);
  const std::string state = plain(control::room_state(*memory));
  return print(fmt::format("{}: {} MiB are free, {} MiB more could be given back\n",
                           state.empty() ? "nothing asked" : state,
                           control::unclaimed_bytes(*memory) / kMiB,
                           control::giveable_bytes(*memory) / kMiB));
}

int run_make_room(const Globals& globals, const RoomOptions& options) {
  if (options.cancel != options.size.empty())
    return complain(kExitUsage, "say how much is to be free, or --cancel");
  Daemon daemon(globals);
  if (options.cancel) return run_once(globals, daemon, {{"cancel", true}});
  const auto bytes = parse_size_bytes(options.size);
  if (!bytes) return complain(kExitUsage, "write a size such as 512M or 2G");
  if (options.wait_s.empty())
    return run_once(globals, daemon, {{"bytes", *bytes}, {"hold_ms", options.hold_s * 1000}});
  const auto wait_s = parse_number(options.wait_s, kSecondsMax);
  if (!wait_s) return complain(kExitUsage, "--wait: write seconds, at most 3600, as in --wait=30");
  return wait_for_room(globals, daemon, {*bytes, *wait_s * 1000, options.hold_s * 1000});
}

}  // namespace

void add_room(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb =
      app.add_subcommand("make-room", "Give memory back to the host, so that a guest can start");
  auto options = std::make_shared<RoomOptions>();
  verb->add_option("size", options->size, "how much is to be free")->type_name("SIZE");
  verb->add_flag("-w{60},--wait{60}", options->wait_s,
                 "wait until it is free, at most 60 s or as --wait=SECONDS says");
  verb->add_option("--hold", options->hold_s, "seconds for which the pool takes none of it")
      ->check(CLI::Range(uint64_t{1}, kSecondsMax))
      ->capture_default_str()
      ->type_name("SECONDS");
  verb->add_flag("--cancel", options->cancel, "the guest has its memory, or will not come");
  verb->footer(
      "Ephemeral pages go, persistent ones stay. With --wait: prints the free MiB when the room "
      "is\n"
      "there; otherwise takes the request back. tmem-xl does this before xl create and xl "
      "restore.");
  verb->callback([&globals, &chosen, options] {
    chosen.run = [&globals, options] { return run_make_room(globals, *options); };
  });
}

}  // namespace tmem::cli
