// SPDX-License-Identifier: GPL-2.0-or-later
// tmem evacuate: a Xen guest brings its persistent pages home, so that it can be saved or migrated.
#include <signal.h>

#include <chrono>

#include "tools/tmem/verbs.h"
#include "tools/tmem/view.h"

namespace tmem::cli {
namespace {

struct EvacuateOptions {
  std::string client;
  uint32_t timeout_s = 300;
  bool cancel = false;
};

constexpr std::chrono::milliseconds kLookAgain{200};

// What ends the program comes out of wait() only: the request has to be taken back. What was
// ignored (nohup) stays so.
class Interruptions {
 public:
  Interruptions() {
    sigemptyset(&signals_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
      struct sigaction action {};
      if (sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_IGN)
        sigaddset(&signals_, number);
    }
    (void)sigprocmask(SIG_BLOCK, &signals_, nullptr);
  }
  // True: the program is to end.
  bool wait(std::chrono::nanoseconds pause) const {
    const timespec time{0, pause.count()};
    return sigtimedwait(&signals_, nullptr, &time) > 0;
  }

 private:
  sigset_t signals_{};
};

// What the daemon says of a client; nothing if it is gone. Failures are printed.
std::optional<ClientView> look(Daemon& daemon, const std::string& client) {
  const auto result = daemon.ask("list", {{"client", client}});
  if (!result) return std::nullopt;
  const std::vector<ClientView> views = views_of(result->value("clients", json::array()));
  if (views.empty()) return std::nullopt;
  return views.front();
}

// Empty: it is done. Else why not.
std::string wait_until_home(Daemon& daemon, const Interruptions& interruptions,
                            const std::string& uuid, uint32_t timeout_s) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_s);
  while (true) {
    const auto client = look(daemon, uuid);
    if (!client) return "the guest or tmemd went away meanwhile";
    if (!client->evacuate_error.empty()) return "the guest cannot: " + client->evacuate_error;
    // What the guest says is not enough: its flushes are still on their way, or it is wrong.
    if (client->can_migrate && client->pages_persistent == 0) return "";
    if (std::chrono::steady_clock::now() >= deadline)
      return (client->can_migrate ? "the guest says that it has done it, but not within "
                                  : "the guest has not done it within ") +
             std::to_string(timeout_s) + " s; " + std::to_string(client->pages_persistent) +
             " persistent pages are left in the pool";
    if (interruptions.wait(kLookAgain)) return "interrupted";
  }
}

// Empty: the guest is not asked any more, or gone. Else what is left to do.
std::string take_back(Daemon& daemon, const std::string& uuid) {
  const auto done = daemon.try_ask("evacuate", {{"client", uuid}, {"cancel", true}});
  const bool gone = daemon.exit_code() == kExitFailed && done.error().code == Errc::kNotFound;
  if (done || gone) return "";
  return "; the guest may still be asked to: take that back with 'tmem evacuate --cancel " + uuid +
         "'";
}

int run_evacuate(const Globals& globals, const EvacuateOptions& options) {
  Daemon daemon(globals);
  const auto client = look(daemon, options.client);
  if (!client) return daemon.exit_code();
  // From here on by its uuid: name and number may be another guest's by the end.
  const std::string& uuid = client->uuid;
  const Interruptions interruptions;
  const auto asked = daemon.ask("evacuate", {{"client", uuid}, {"cancel", options.cancel}});
  if (!asked) return daemon.exit_code();
  if (!options.cancel) {
    const std::string problem = wait_until_home(daemon, interruptions, uuid, options.timeout_s);
    if (!problem.empty())
      return complain(kExitFailed, "not evacuated: " + problem + take_back(daemon, uuid));
  }
  return globals.as_json ? print_json(*asked) : kExitOk;
}

}  // namespace

void add_evacuate(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb =
      app.add_subcommand("evacuate", "Let a Xen guest bring its persistent pages home");
  auto options = std::make_shared<EvacuateOptions>();
  verb->add_option("client", options->client, "number, name or uuid")
      ->required()
      ->type_name("CLIENT");
  verb->add_option("-t,--timeout", options->timeout_s, "seconds to wait for the guest")
      ->check(CLI::Range(uint32_t{1}, uint32_t{86'400}))
      ->capture_default_str()
      ->type_name("SECONDS");
  verb->add_flag("--cancel", options->cancel, "the guest may put persistent pages again");
  verb->footer(
      "The guest writes them to a disk of its own and puts no new ones until it is restored\n"
      "elsewhere, or --cancel. Where it cannot, nothing changes. tmem-xl does this before xl save\n"
      "and xl migrate.");
  verb->callback([&globals, &chosen, options] {
    chosen.run = [&globals, options] { return run_evacuate(globals, *options); };
  });
}

}  // namespace tmem::cli
