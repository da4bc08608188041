// SPDX-License-Identifier: GPL-2.0-or-later
// tmem list: a table, or in detail with -l, or as xl tmem-list printed it with --legacy.
#include <fmt/format.h>

#include "libtmem/base/units.h"
#include "tools/tmem/legacy.h"
#include "tools/tmem/verbs.h"
#include "tools/tmem/view.h"

namespace tmem::cli {
namespace {

struct ListOptions {
  std::string client;
  bool detailed = false;
  bool legacy = false;
};

std::string cap_text(const ClientView& client) {
  return client.capped ? mib(client.cap_pages * kPageBytes) : "none";
}

// Of files: swap is found nearly always, and would hide how the cache does.
std::string cache_hits_text(const ClientView& client) {
  const uint64_t hits = client.counter("hits") - client.counter("persistent_hits");
  return percent(hits, hits + client.counter("ephemeral_misses"));
}

std::string table_text(const std::vector<ClientView>& clients) {
  Table table({{"Name", false, 20},
               {"ID", true, 4},
               {"Weight"},
               {"Cap"},
               {"Eph MiB"},
               {"Pers MiB"},
               {"Charged"},
               {"Share"},
               {"Hit%"},
               {"Dedup", false},
               {"State", false}});
  for (const ClientView& client : clients)
    table.add({client.name, std::to_string(client.number), std::to_string(client.weight),
               cap_text(client), mib(client.pages_ephemeral * kPageBytes),
               mib(client.pages_persistent * kPageBytes), mib(client.charged_bytes),
               mib(client.entitled_bytes), cache_hits_text(client), client.dedup_text(),
               client.state()});
  return table.to_text();
}

std::string pool_text(const PoolView& pool) {
  std::string text =
      fmt::format("  pool {:<18}: {} {}, {} pages", pool.id, pool.shared ? "shared" : "private",
                  pool.persistent ? "persistent" : "ephemeral", pool.pages);
  if (pool.shared) text += ", uuid " + pool.uuid;
  return text + '\n';
}

std::string details_text(const ClientView& client) {
  std::string text;
  const auto line = [&text](std::string_view key, const auto& value) {
    text += fmt::format("{:<25}: {}\n", key, value);
  };
  line("name", client.name);
  line("id", client.number);
  line("domid", client.domid);
  line("uuid", client.uuid);
  line("state", client.state());
  if (!client.transport.empty()) line("transport", client.transport);
  if (!client.connection.empty()) line("connection", client.connection);
  if (client.transport == "xen") {
    line("evacuating", client.evacuating ? 1 : 0);
    line("can_migrate", client.can_migrate ? 1 : 0);
  }
  if (!client.evacuate_error.empty()) line("evacuate_error", client.evacuate_error);
  line("weight", client.weight);
  line("cap_mib", cap_text(client));
  line("guarantee_mib", mib(client.guarantee_bytes));
  line("compress", client.compress ? 1 : 0);
  line("dedup", client.dedup_text());
  line("ephemeral_mib", mib(client.pages_ephemeral * kPageBytes));
  line("persistent_mib", mib(client.pages_persistent * kPageBytes));
  line("charged_mib", mib(client.charged_bytes));
  line("share_mib", mib(client.entitled_bytes));
  for (const auto& [name, value] : client.counters.items())
    line(plain(name, 40), number_at(client.counters, ("/" + name).c_str()));
  for (const PoolView& pool : client.pools) text += pool_text(pool);
  return text;
}

int run_list(const Globals& globals, const ListOptions& options) {
  Daemon daemon(globals);
  const bool one = !options.client.empty();
  const auto result = daemon.ask("list", one ? json{{"client", options.client}} : json::object());
  if (!result) return daemon.exit_code();
  const json clients = result->value("clients", json::array());
  if (globals.as_json) return print_json(clients);
  const std::vector<ClientView> views = views_of(clients);
  if (options.legacy && one) return print(legacy_client_records(views, options.detailed));
  if (options.legacy) {
    const auto stats = daemon.ask("stats", json::object());
    if (!stats) return daemon.exit_code();
    return print(legacy_records(*stats, options.detailed));
  }
  if (!options.detailed) return print(table_text(views));
  std::string text;
  for (const ClientView& view : views) text += (text.empty() ? "" : "\n") + details_text(view);
  return print(text);
}

}  // namespace

void add_list(CLI::App& app, const Globals& globals, Chosen& chosen) {
  CLI::App* const verb = app.add_subcommand("list", "List the clients and what they hold");
  auto options = std::make_shared<ListOptions>();
  verb->add_option("client", options->client, "only this one")->type_name("CLIENT");
  verb->add_flag("-l,--long", options->detailed, "all that is known of each client");
  verb->add_flag("--legacy", options->legacy, "the records of xl tmem-list, for old parsers");
  verb->footer(
      "Columns: Cap and Eph, Pers as the guest counts (before dedup and compression); Charged is\n"
      "the memory a client pays for, Share its part of the ephemeral memory by weight; all in "
      "MiB.");
  verb->callback([&globals, &chosen, options] {
    chosen.run = [&globals, options] { return run_list(globals, *options); };
  });
}

}  // namespace tmem::cli
