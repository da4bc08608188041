// SPDX-License-Identifier: GPL-2.0-or-later
// The verbs. Each add_* describes one or more verbs to the parser; the verb's function then runs
// with the parsed options and returns the exit code.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

#include "tools/tmem/cli.h"

namespace tmem::cli {

// What main runs after parsing: set by the callback of the verb that was given.
struct Chosen {
  std::function<int()> run;
};

void add_list(CLI::App& app, const Globals& globals, Chosen& chosen);
void add_info(CLI::App& app, const Globals& globals,
              Chosen& chosen);  // info freeable stats version
void add_settings(CLI::App& app, const Globals& globals,
                  Chosen& chosen);  // set freeze thaw shared-auth
void add_lifecycle(CLI::App& app, const Globals& globals,
                   Chosen& chosen);  // flush destroy set-memory shutdown
void add_evacuate(CLI::App& app, const Globals& globals, Chosen& chosen);
void add_room(CLI::App& app, const Globals& globals, Chosen& chosen);    // make-room
void add_policy(CLI::App& app, const Globals& globals, Chosen& chosen);  // policy show, set
void add_why(CLI::App& app, const Globals& globals, Chosen& chosen);
void add_top(CLI::App& app, const Globals& globals, Chosen& chosen);

// [client] and -a of a verb.
void add_target(CLI::App& verb, Target& target, const char* all_help);

}  // namespace tmem::cli
