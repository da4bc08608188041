// SPDX-License-Identifier: GPL-2.0-or-later
// The verbs that change something.
#include <algorithm>

#include "tmem/text.hpp"
#include "tmemd/control/dispatcher.h"
#include "tmemd/control/settings.h"
#include "tmemd/control/stats_json.h"

namespace tmem::control {
namespace {

using nlohmann::json;
using store::ClientSettings;
using store::ClientStats;

constexpr size_t kSharedGrantsMax = 65536;

uint64_t persistent_pages(const ClientStats& stats) {
  return stats.pages[static_cast<size_t>(store::Kind::kPersistent)];
}

// While it lives no client can put new pages: what is looked at stays true.
class NewPagesRefused {
 public:
  explicit NewPagesRefused(const Hooks& hooks) : hooks_(hooks) {
    if (hooks_.refuse_new_pages) hooks_.refuse_new_pages(true);
  }
  ~NewPagesRefused() {
    if (hooks_.refuse_new_pages) hooks_.refuse_new_pages(false);
  }
  NewPagesRefused(const NewPagesRefused&) = delete;
  NewPagesRefused& operator=(const NewPagesRefused&) = delete;

 private:
  const Hooks& hooks_;
};

// What `set` asks for; what is absent stays as it is.
struct SettingsChange {
  std::optional<uint64_t> weight;
  std::optional<uint64_t> cap_pages;
  std::optional<uint64_t> guarantee_bytes;
  std::optional<bool> compress;
  std::optional<store::DedupScope> dedup;
  std::optional<std::string> dedup_group;

  bool empty() const {
    return !weight && !cap_pages && !guarantee_bytes && !compress && !dedup && !dedup_group;
  }
};

SettingsChange read_change(Args& args) {
  SettingsChange change;
  change.weight = args.number("weight", 0, kWeightMax);
  const json* const cap = args.raw("cap_pages");
  if (cap != nullptr && cap->is_null())
    change.cap_pages = store::kNoCap;
  else
    change.cap_pages = args.number("cap_pages", 0, kMemoryMaxBytes / kPageBytes);
  change.guarantee_bytes = args.number("guarantee_bytes", 0, kMemoryMaxBytes);
  change.compress = args.boolean("compress");
  if (const auto word = args.text("dedup")) {
    const auto* const found =
        std::find_if(std::begin(kDedupWords), std::end(kDedupWords),
                     [&word](const auto& entry) { return entry.first == *word; });
    if (found != std::end(kDedupWords))
      change.dedup = found->second;
    else
      args.refuse("dedup", "write none, client, group or host");
  }
  change.dedup_group = args.text("dedup_group");
  if (change.dedup_group && !is_group_name(*change.dedup_group))
    args.refuse("dedup_group", "write 1 to 64 printable ASCII characters without spaces");
  if (change.empty())
    args.refuse("weight",
                "write at least one of weight, cap_pages, guarantee_bytes, compress, dedup");
  return change;
}

Result<ClientSettings> apply(ClientSettings settings, const SettingsChange& change) {
  if (change.weight) settings.weight = static_cast<uint32_t>(*change.weight);
  if (change.cap_pages) settings.cap_pages = *change.cap_pages;
  if (change.guarantee_bytes) settings.guarantee_bytes = *change.guarantee_bytes;
  if (change.compress) settings.compress = *change.compress;
  if (change.dedup) settings.dedup = *change.dedup;
  if (change.dedup_group) settings.dedup_group = *change.dedup_group;
  const bool in_group = settings.dedup == store::DedupScope::kGroup;
  if (in_group && settings.dedup_group.empty())
    return fail(Errc::kMalformed, "args.dedup: \"group\" needs dedup_group too");
  if (!in_group && change.dedup_group)
    return fail(Errc::kMalformed, "args.dedup_group: has no effect without \"dedup\": \"group\"");
  if (!in_group) settings.dedup_group.clear();
  return settings;
}

}  // namespace

// All clients or none: where one refuses, those before it get their old settings back.
template <class Change>
Result<json> Dispatcher::configure(const std::vector<ClientStats>& clients, const Change& change) {
  std::vector<std::pair<store::ClientRef, ClientSettings>> done;
  json changed = json::array();
  Result<void> outcome;
  for (const ClientStats& stats : clients) {
    const store::ClientRef client = store_.find_client(stats.number);
    if (client == nullptr) continue;  // gone since it was looked up
    const ClientSettings old_settings = store_.settings(*client);
    const Result<ClientSettings> wanted = change(old_settings);
    outcome = wanted ? store_.configure(*client, *wanted) : tl::make_unexpected(wanted.error());
    if (!outcome) break;
    done.emplace_back(client, old_settings);
    changed.push_back({{"number", stats.number}, {"settings", to_json(*wanted)}});
  }
  if (outcome) return json{{"clients", std::move(changed)}};
  std::reverse(done.begin(), done.end());
  for (const auto& [client, old_settings] : done) (void)store_.configure(*client, old_settings);
  return tl::make_unexpected(outcome.error());
}

Result<json> Dispatcher::set(Args& args) {
  const SettingsChange change = read_change(args);
  TMEM_TRY(const std::vector<ClientStats> clients, targets(args));
  return configure(clients,
                   [&change](const ClientSettings& settings) { return apply(settings, change); });
}

Result<json> Dispatcher::set_frozen(Args& args, bool frozen) {
  TMEM_TRY(const std::vector<ClientStats> clients, targets(args));
  return configure(clients, [frozen](ClientSettings settings) -> Result<ClientSettings> {
    settings.frozen = frozen;
    return settings;
  });
}

Result<json> Dispatcher::freeze(Args& args) {
  return set_frozen(args, true);
}

Result<json> Dispatcher::thaw(Args& args) {
  return set_frozen(args, false);
}

Result<json> Dispatcher::flush(Args& args) {
  const json* const client = args.raw("client");
  const bool all = args.flag("all");
  const auto bytes = args.number("bytes", 1, kMemoryMaxBytes);
  if (all == (client != nullptr)) args.refuse("client", "write either client or \"all\": true");
  if (client != nullptr && bytes)
    args.refuse("bytes", "an amount goes with \"all\" only: the scheduler chooses whose pages go");
  TMEM_CHECK(args.finish());
  std::vector<ClientStats> victims;
  if (client != nullptr) {
    TMEM_TRY(ClientStats found, find(*client));
    victims.push_back(std::move(found));
  } else if (!bytes) {
    victims = store_.all_client_stats();
  }
  const store::StoreStats before = store_.stats();
  uint64_t dropped_pages = 0;
  for (const ClientStats& victim : victims)
    if (const store::ClientRef ref = store_.find_client(victim.number))
      dropped_pages += store_.evict_client(worker_, *ref);
  uint64_t freed_bytes = bytes ? store_.evict(worker_, *bytes) : 0;
  const store::StoreStats after = store_.stats();
  if (bytes) dropped_pages = after.evicted_pages - before.evicted_pages;
  if (!bytes && before.held_bytes > after.held_bytes)
    freed_bytes = before.held_bytes - after.held_bytes;
  return json{{"dropped_pages", dropped_pages},
              {"freed_bytes", freed_bytes},
              {"held_bytes", after.held_bytes}};
}

Result<json> Dispatcher::destroy(Args& args) {
  const json* const client = args.raw("client");
  const bool force = args.flag("force");
  if (client == nullptr) args.refuse("client", "write which client");
  TMEM_CHECK(args.finish());
  // Of all clients, as the store cannot refuse one client's and wait for those under way; for the
  // moment that it takes they use their disks.
  const NewPagesRefused refused(hooks_);
  TMEM_TRY(const ClientStats found, find(*client));
  if (found.is_shared_pool)
    return fail(Errc::kConflict,
                "this is a shared pool: it ends with its last client; flush drops its pages");
  if (persistent_pages(found) != 0 && !force)
    return fail(Errc::kConflict, "client " + std::to_string(found.number) + " holds " +
                                     std::to_string(persistent_pages(found)) +
                                     " persistent pages (its swap): shut the guest down or swapoff "
                                     "in it first, or use force, which loses them");
  if (hooks_.disconnect_client) {
    const Result<void> disconnected = hooks_.disconnect_client(found.number);
    if (!disconnected && disconnected.error().code != Errc::kNotFound)
      return tl::make_unexpected(disconnected.error());
  }
  if (const store::ClientRef ref = store_.find_client(found.number)) store_.remove_client(*ref);
  return json{{"number", found.number},
              {"lost_pages", {{"ephemeral", found.pages[0]}, {"persistent", found.pages[1]}}}};
}

Result<json> Dispatcher::evacuate(Args& args) {
  const json* const client = args.raw("client");
  const bool cancel = args.flag("cancel");
  if (client == nullptr) args.refuse("client", "write which client");
  TMEM_CHECK(args.finish());
  TMEM_TRY(const ClientStats found, find(*client));
  if (!hooks_.set_evacuating)
    return fail(Errc::kConflict, "this daemon has no guests that could be asked");
  TMEM_CHECK(hooks_.set_evacuating(found.number, !cancel));
  return json{{"number", found.number}, {"evacuating", !cancel}};
}

Result<json> Dispatcher::shared_auth(Args& args) {
  const json* const client = args.raw("client");
  const bool all = args.flag("all");
  const auto pool_text = args.text("pool");
  const auto pool = parse_uuid(pool_text.value_or(""));
  const auto allowed = args.boolean("allowed");
  if (all == (client != nullptr)) args.refuse("client", "write either client or \"all\": true");
  if (!pool) args.refuse("pool", "write the shared pool's uuid");
  if (!allowed) args.refuse("allowed", "write true or false");
  TMEM_CHECK(args.finish());
  std::vector<Uuid> members;
  // A client that is not connected yet can be named by its uuid.
  const auto absent = client != nullptr && client->is_string()
                          ? parse_uuid(client->get_ref<const std::string&>())
                          : std::nullopt;
  if (absent) {
    members.push_back(*absent);
  } else if (client != nullptr) {
    TMEM_TRY(const ClientStats found, find(*client));
    if (found.is_shared_pool) return fail(Errc::kConflict, "this client is a shared pool itself");
    members.push_back(found.identity.uuid);
  } else {
    for (const ClientStats& stats : store_.all_client_stats())
      if (!stats.is_shared_pool) members.push_back(stats.identity.uuid);
  }
  if (*allowed && store_.shared_grants().size() + members.size() > kSharedGrantsMax)
    return fail(Errc::kNoSpace, "too many authorisations: remove some first");
  json changed = json::array();
  for (const Uuid& member : members) {
    store_.authorise_shared({*pool, member}, *allowed);
    changed.push_back(format_uuid(member));
  }
  return json{{"pool", format_uuid(*pool)}, {"allowed", *allowed}, {"clients", changed}};
}

Result<json> Dispatcher::set_memory(Args& args) {
  const auto bytes = args.number("bytes", kMemoryMinBytes, kMemoryMaxBytes);
  if (!bytes) args.refuse("bytes", "write the new size");
  TMEM_CHECK(args.finish());
  const uint64_t previous_bytes = store_.stats().budget_bytes;
  TMEM_CHECK(store_.set_budget(*bytes));
  return json{{"budget_bytes", *bytes}, {"previous_bytes", previous_bytes}};
}

Result<json> Dispatcher::step(Args& args) {
  constexpr uint64_t kDayMs = uint64_t{24} * 3600 * 1000;
  const auto milliseconds = args.number("ms", 0, kDayMs);
  if (!milliseconds) args.refuse("ms", "write how far the clock moves");
  TMEM_CHECK(args.finish());
  if (!hooks_.step_clock)
    return fail(Errc::kConflict,
                "this daemon's clock runs by itself; only one started with "
                "manual_clock = true in [daemon] is moved by step");
  hooks_.step_clock(*milliseconds);
  return to_json(store_.stats());
}

Result<json> Dispatcher::shutdown(Args& args) {
  const bool force = args.flag("force");
  TMEM_CHECK(args.finish());
  uint64_t pages = 0;
  std::string holders;
  for (const ClientStats& stats : store_.all_client_stats()) {
    if (persistent_pages(stats) == 0) continue;
    pages += persistent_pages(stats);
    if (holders.size() < 200)
      holders += (holders.empty() ? "" : ", ") + std::to_string(stats.number) + " (" +
                 stats.identity.name.substr(0, 64) + ")";
  }
  if (pages != 0 && !force)
    return fail(Errc::kConflict, std::to_string(pages) + " persistent pages (swap) are held by " +
                                     holders +
                                     ": shut these guests down or swapoff in them first, or use "
                                     "force, which loses the pages");
  if (!hooks_.request_shutdown)
    return fail(Errc::kConflict, "this daemon cannot be stopped through its socket");
  TMEM_CHECK(hooks_.request_shutdown(force));
  return json{{"stopping", true}, {"lost_pages", pages}};
}

}  // namespace tmem::control
