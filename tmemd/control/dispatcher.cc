// SPDX-License-Identifier: GPL-2.0-or-later
// The envelope of requests and answers, who may ask what, and the verbs that only read.
#include "tmemd/control/dispatcher.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "tmem/text.hpp"
#include "tmemd/control/stats_json.h"

namespace tmem::control {
namespace {

using nlohmann::json;

constexpr int kNestingMax = 8;
constexpr size_t kIdBytesMax = 64;

std::string_view code_name(Errc code) {
  switch (code) {
    case Errc::kMalformed:
      return "malformed";
    case Errc::kDenied:
      return "denied";
    case Errc::kNoSpace:
      return "no-space";
    case Errc::kNotFound:
      return "not-found";
    case Errc::kConflict:
      return "conflict";
    case Errc::kOs:
      return "os";
  }
  return "os";
}

json failure(const json& id, std::string_view code, std::string_view message) {
  return {{"id", id}, {"ok", false}, {"error", {{"code", code}, {"message", message}}}};
}

std::string to_line(const json& answer) {
  return answer.dump(-1, ' ', true, json::error_handler_t::replace) + '\n';
}

// Depth of brackets outside of strings; counts no further than needed.
bool nests_too_deep(std::string_view line) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kNestingMax) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

bool is_id(const json& id) {
  return id.is_null() || id.is_number_integer() ||
         (id.is_string() && id.get_ref<const std::string&>().size() <= kIdBytesMax);
}

// The first thing wrong with the envelope, or nothing.
const char* envelope_problem(const json& request) {
  if (!request.is_object()) return "write one JSON object a line: {\"id\":1,\"verb\":\"version\"}";
  for (const auto& [key, value] : request.items())
    if (key != "id" && key != "verb" && key != "args")
      return "a request has the keys id, verb and args only";
  if (!is_id(request.value("id", json())))
    return "id: write an integer or text of at most 64 bytes";
  if (!request.value("verb", json()).is_string()) return "verb: write the verb's name as text";
  if (!request.value("args", json::object()).is_object())
    return "args: write an object, {} for none";
  return nullptr;
}

}  // namespace

Dispatcher::Dispatcher(store::Store& store, const Clock& clock, Hooks hooks,
                       ServerCounters& counters)
    : store_(store),
      clock_(clock),
      hooks_(std::move(hooks)),
      counters_(counters),
      log_(clock, hooks_.log),
      started_ms_(clock.now_ms()) {}

const std::vector<Dispatcher::VerbEntry>& Dispatcher::verbs() {
  static const std::vector<VerbEntry> entries = {
      {"version", false, &Dispatcher::version},
      {"info", false, &Dispatcher::info},
      {"list", false, &Dispatcher::list},
      {"stats", false, &Dispatcher::stats},
      {"freeable", false, &Dispatcher::freeable},
      {"shared-list", false, &Dispatcher::shared_list},
      {"policy", false, &Dispatcher::policy},
      {"why", false, &Dispatcher::why},
      {"set", true, &Dispatcher::set},
      {"freeze", true, &Dispatcher::freeze},
      {"thaw", true, &Dispatcher::thaw},
      {"flush", true, &Dispatcher::flush},
      {"destroy", true, &Dispatcher::destroy},
      {"evacuate", true, &Dispatcher::evacuate},
      {"shared-auth", true, &Dispatcher::shared_auth},
      {"set-memory", true, &Dispatcher::set_memory},
      {"make-room", true, &Dispatcher::make_room},
      {"policy-set", true, &Dispatcher::policy_set},
      {"step", true, &Dispatcher::step},
      {"shutdown", true, &Dispatcher::shutdown},
  };
  return entries;
}

std::string Dispatcher::refusal(std::string_view code, std::string_view message) {
  return to_line(failure(json(), code, message));
}

std::string Dispatcher::answer(std::string_view line, const Peer& peer) {
  try {
    return to_line(run(line, peer));
  } catch (const std::exception&) {
    ++counters_.requests_failed;
    return refusal("os", "the request could not be run: tmemd is out of memory");
  }
}

json Dispatcher::run(std::string_view line, const Peer& peer) {
  ++counters_.requests;
  const bool too_deep = nests_too_deep(line);
  const json request = too_deep ? json() : json::parse(line, nullptr, false);
  const char* const problem = too_deep                 ? "nested too deep"
                              : request.is_discarded() ? "not JSON: write one object a line"
                                                       : envelope_problem(request);
  if (problem != nullptr) {
    ++counters_.requests_malformed;
    const json id = request.is_object() ? request.value("id", json()) : json();
    return failure(is_id(id) ? id : json(), "malformed", problem);
  }
  const json id = request.value("id", json());
  const auto& name = request["verb"].get_ref<const std::string&>();
  const auto verb = std::find_if(verbs().begin(), verbs().end(),
                                 [&name](const VerbEntry& entry) { return entry.name == name; });
  if (verb == verbs().end()) {
    ++counters_.requests_unknown_verb;
    std::string list;
    for (const VerbEntry& entry : verbs())
      list += (list.empty() ? "" : ", ") + std::string(entry.name);
    return failure(id, "unknown-verb", "no such verb; known are " + list);
  }
  json answer = run_verb(*verb, request.value("args", json::object()), peer);
  answer["id"] = id;
  return answer;
}

json Dispatcher::run_verb(const VerbEntry& verb, const json& args_object, const Peer& peer) {
  const std::string who = "uid " + std::to_string(peer.uid) + ", pid " + std::to_string(peer.pid);
  if (verb.changes && !peer.may_change) {
    ++counters_.requests_unauthorised;
    log_.line(std::string(verb.name) + " denied to " + who);
    return failure(json(), "denied",
                   "only root, tmemd's own user and members of the group of [control] group in "
                   "tmemd.toml may do this");
  }
  Args args(args_object);
  Result<json> result = (this->*verb.run)(args);
  if (!result) {
    const bool malformed = result.error().code == Errc::kMalformed;
    ++(malformed ? counters_.requests_malformed : counters_.requests_failed);
    return failure(json(), code_name(result.error().code), result.error().message);
  }
  if (verb.changes) log_.line(std::string(verb.name) + " by " + who);
  return {{"ok", true}, {"result", *std::move(result)}};
}

Result<json> Dispatcher::version(Args& args) {
  TMEM_CHECK(args.finish());
  return json{{"version", TMEM_VERSION}, {"protocol", kProtocolVersion}};
}

Result<json> Dispatcher::info(Args& args) {
  TMEM_CHECK(args.finish());
  return json{{"version", TMEM_VERSION},
              {"protocol", kProtocolVersion},
              {"pid", getpid()},
              {"uptime_ms", clock_.now_ms() - started_ms_},
              // Text: JSON numbers are exact up to 2^53 only in many languages.
              {"store_epoch", std::to_string(store_.epoch())},
              {"store", to_json(store_.stats())},
              {"memory", memory()}};
}

Result<json> Dispatcher::list(Args& args) {
  const json* const client = args.raw("client");
  TMEM_CHECK(args.finish());
  std::vector<store::ClientStats> wanted;
  if (client != nullptr) {
    TMEM_TRY(store::ClientStats found, find(*client));
    wanted.push_back(std::move(found));
  } else {
    wanted = store_.all_client_stats();
  }
  const auto transports =
      hooks_.client_transports ? hooks_.client_transports() : std::map<uint32_t, json>{};
  json clients = json::array();
  for (const store::ClientStats& stats : wanted) {
    clients.push_back(to_json(stats));
    const auto found = transports.find(stats.number);
    clients.back()["transport"] = found != transports.end() ? found->second : json();
  }
  return json{{"clients", std::move(clients)}};
}

Result<json> Dispatcher::stats(Args& args) {
  TMEM_CHECK(args.finish());
  json clients = json::array();
  for (const store::ClientStats& client : store_.all_client_stats())
    clients.push_back(to_json(client));
  return json{{"version", TMEM_VERSION},
              {"uptime_ms", clock_.now_ms() - started_ms_},
              {"store", to_json(store_.stats())},
              {"memory", memory()},
              {"clients", std::move(clients)},
              {"control",
               {{"connections", counters_.connections.load()},
                {"connections_refused", counters_.connections_refused.load()},
                {"connections_timed_out", counters_.connections_timed_out.load()},
                {"requests", counters_.requests.load()},
                {"requests_malformed", counters_.requests_malformed.load()},
                {"requests_oversized", counters_.requests_oversized.load()},
                {"requests_unauthorised", counters_.requests_unauthorised.load()},
                {"requests_unknown_verb", counters_.requests_unknown_verb.load()},
                {"requests_failed", counters_.requests_failed.load()}}},
              {"transport", hooks_.transport_stats ? hooks_.transport_stats() : json::object()}};
}

Result<json> Dispatcher::shared_list(Args& args) {
  TMEM_CHECK(args.finish());
  json grants = json::array();
  for (const store::SharedGrant& grant : store_.shared_grants())
    grants.push_back({{"pool", format_uuid(grant.pool)}, {"client", format_uuid(grant.client)}});
  return json{{"grants", std::move(grants)}};
}

Result<store::ClientStats> Dispatcher::find(const json& value) const {
  std::string text;
  if (value.is_string()) text = value.get_ref<const std::string&>().substr(0, 256);
  const auto number =
      value.is_number_unsigned() ? std::optional(value.get<uint64_t>()) : parse_number(text);
  if (!number && text.empty())
    return fail(Errc::kMalformed, "args.client: write a client's number, uuid or name");
  const auto uuid = parse_uuid(text);
  const std::vector<store::ClientStats> all = store_.all_client_stats();
  const auto pick = [&all](const auto& is_meant) -> std::vector<const store::ClientStats*> {
    std::vector<const store::ClientStats*> found;
    for (const store::ClientStats& stats : all)
      if (is_meant(stats)) found.push_back(&stats);
    return found;
  };
  auto found = pick([&](const auto& s) { return number && s.number == *number; });
  if (found.empty()) found = pick([&](const auto& s) { return uuid && s.identity.uuid == *uuid; });
  if (found.empty())
    found = pick([&](const auto& s) { return !s.is_shared_pool && s.identity.name == text; });
  const std::string shown = "\"" + (text.empty() ? value.dump() : text) + "\"";
  if (found.empty())
    return fail(Errc::kNotFound, "no client " + shown + " is connected: see tmem list");
  if (found.size() > 1)
    return fail(Errc::kConflict, "several clients are " + shown + ": use the number");
  return *found.front();
}

Result<std::vector<store::ClientStats>> Dispatcher::targets(Args& args) {
  const json* const client = args.raw("client");
  const bool all = args.flag("all");
  if (all == (client != nullptr)) args.refuse("client", "write either client or \"all\": true");
  TMEM_CHECK(args.finish());
  if (client != nullptr) {
    TMEM_TRY(store::ClientStats found, find(*client));
    return std::vector{std::move(found)};
  }
  std::vector<store::ClientStats> clients = store_.all_client_stats();
  std::erase_if(clients, [](const store::ClientStats& stats) { return stats.is_shared_pool; });
  return clients;
}

}  // namespace tmem::control
