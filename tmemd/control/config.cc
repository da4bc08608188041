// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/control/config.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <set>

#include "policy/strategy.h"
#include "tmem/abi.h"
#include "tmemd/control/config_section.h"
#include "tmemd/control/settings.h"

namespace tmem::control {
namespace {

constexpr size_t kFileBytesMax = 1024 * 1024;
constexpr size_t kRulesMax = 4096;
constexpr size_t kSocketPathBytesMax = 107;
constexpr size_t kNameBytesMax = 63;

constexpr std::pair<std::string_view, PoolConfig::Provider> kProviderWords[] = {
    {"auto", PoolConfig::Provider::kAuto},
    {"memfd", PoolConfig::Provider::kMemfd},
    {"pool-domain", PoolConfig::Provider::kPoolDomain}};

constexpr std::pair<std::string_view, LogLevel> kLogWords[] = {{"trace", LogLevel::kTrace},
                                                               {"debug", LogLevel::kDebug},
                                                               {"info", LogLevel::kInfo},
                                                               {"warning", LogLevel::kWarning},
                                                               {"error", LogLevel::kError}};

// The table of a section; null if absent, and after a problem.
const toml::table* table_of(Section& root, std::string_view name, Problem& problem) {
  const toml::node* const node = root.take(name);
  if (node == nullptr) return nullptr;
  if (!node->is_table())
    problem.report(node->source(), std::string(name), "not a section",
                   "write [" + std::string(name) + "] on a line of its own");
  return node->as_table();
}

// The tables of a repeated section [[name]].
std::vector<const toml::table*> tables_of(Section& root, std::string_view name, Problem& problem) {
  std::vector<const toml::table*> tables;
  const toml::node* const node = root.take(name);
  if (node == nullptr) return tables;
  const toml::array* const array = node->as_array();
  for (size_t i = 0; array != nullptr && i < array->size(); ++i)
    if (const toml::table* const table = (*array)[i].as_table()) tables.push_back(table);
  if (array == nullptr || tables.size() != array->size())
    problem.report(node->source(), std::string(name), "not a repeated section",
                   "write [[" + std::string(name) + "]] on a line of its own for each");
  if (tables.size() > kRulesMax)
    problem.report(node->source(), std::string(name), "too many of them",
                   "write at most " + std::to_string(kRulesMax));
  return tables;
}

// Permission bits: 0o660, or "0660".
void read_mode(Section& section, std::string_view key, unsigned& out) {
  const toml::node* const node = section.take(key);
  if (node == nullptr) return;
  std::optional<uint64_t> mode;
  if (const auto* const number = node->as_integer()) {
    if (number->get() >= 0) mode = static_cast<uint64_t>(number->get());
  } else if (const auto* const text = node->as_string()) {
    mode = 0;
    for (const char c : text->get())
      mode = mode && c >= '0' && c <= '7' && *mode < 0100000
                 ? std::optional<uint64_t>(*mode * 8 + static_cast<uint64_t>(c - '0'))
                 : std::nullopt;
    if (text->get().empty()) mode = std::nullopt;
  }
  if (mode && *mode <= 0777)
    out = static_cast<unsigned>(*mode);
  else
    section.refuse(key, "not a file mode", "write octal digits, such as \"0660\"");
}

void read_socket(Section& section, std::string& out) {
  section.text("socket", out, kSocketPathBytesMax, true);
  if (section.has("socket") && !out.starts_with('/'))
    section.refuse("socket", "not an absolute path", "begin it with a slash");
}

void read_settings(Section& section, store::ClientSettings& out) {
  section.number("weight", out.weight, 0, kWeightMax);
  const toml::node* const cap = section.take("cap");
  if (cap != nullptr && cap->is_string() && cap->as_string()->get() == "none") {
    out.cap_pages = store::kNoCap;
  } else if (cap != nullptr) {
    uint64_t cap_bytes = 0;
    section.size("cap", cap_bytes, 0, kMemoryMaxBytes);
    out.cap_pages = cap_bytes / kPageBytes;
  }
  section.size("guarantee", out.guarantee_bytes, 0, kMemoryMaxBytes);
  section.boolean("compress", out.compress);
  section.choice("dedup", out.dedup, kDedupWords);
  section.text("dedup_group", out.dedup_group, kGroupNameBytesMax, false);
  const bool in_group = out.dedup == store::DedupScope::kGroup;
  if (in_group && out.dedup_group.empty())
    section.refuse("dedup", "\"group\" needs a group", "add dedup_group = \"NAME\"");
  if (!in_group && section.has("dedup_group"))
    section.refuse("dedup_group", "has no effect", "add dedup = \"group\", or remove it");
  if (!in_group) out.dedup_group.clear();
}

// How its own memory is scheduled, where it is a guest of Xen.
void read_memory_rule(Section& section, arbiter::GuestRule& out) {
  if (section.has("memory_mode")) out.mode.emplace();
  if (out.mode) section.choice("memory_mode", *out.mode, arbiter::kGuestModeWords);
  const auto size = [&section](const char* key, std::optional<uint64_t>& bytes) {
    uint64_t given = 0;
    section.size(key, given, kMemoryMinBytes, kMemoryMaxBytes);
    if (section.has(key)) bytes = given;
  };
  size("memory_min", out.min_bytes);
  size("memory_max", out.max_bytes);
  if (out.min_bytes && out.max_bytes && *out.min_bytes > *out.max_bytes)
    section.refuse(section.has("memory_min") ? "memory_min" : "memory_max",
                   "memory_min is more than memory_max", "write a smaller memory_min");
  const auto number = [&section](const char* key, std::optional<uint32_t>& value, uint32_t max) {
    uint32_t given = 0;
    section.number(key, given, 0, max);
    if (section.has(key)) value = given;
  };
  number("memory_weight", out.weight, kWeightMax);
  number("memory_priority", out.priority, arbiter::kPriorityMax);
}

void read_policy(Section& section, arbiter::Settings& out) {
  section.choice("mode", out.mode, arbiter::kModeWords);
  section.text("strategy", out.strategy, 64, false);
  std::string names;
  bool known = false;
  for (const policy::StrategyKind& kind : policy::strategy_kinds()) {
    names += (names.empty() ? "\"" : ", \"") + std::string(kind.name) + '"';
    known = known || kind.name == out.strategy;
  }
  if (!known) section.refuse("strategy", "no strategy has this name", "write one of " + names);
  section.real("knob", out.knob, 0, arbiter::kKnobMax);
  section.boolean("idle_tax", out.idle_tax);
  section.text("log", out.log_path, 1024, true);
  if (!out.log_path.empty() && !out.log_path.starts_with('/'))
    section.refuse("log", "not an absolute path", "begin it with a slash, or write \"\" for none");
  section.size("log_size", out.log_bytes_max, arbiter::kLogBytesMin, 64 * kGiB);
  section.finish();
}

// guests = "all", "none", or a list of names and uuids.
void read_guests(Section& section, XenConfig& xen) {
  const toml::node* const node = section.take("guests");
  if (node == nullptr) return;
  const auto* const word = node->as_string();
  const toml::array* const array = node->as_array();
  if (word != nullptr && (word->get() == "all" || word->get() == "none")) {
    xen.all_guests = word->get() == "all";
    return;
  }
  xen.all_guests = false;
  bool good = array != nullptr && array->size() <= kRulesMax;
  for (size_t i = 0; good && i < array->size(); ++i) {
    const auto* const text = (*array)[i].as_string();
    const std::string guest = text != nullptr ? text->get() : "";
    if (const auto uuid = parse_uuid(guest))
      xen.guest_uuids.push_back(*uuid);
    else
      xen.guest_names.push_back(guest);
    good = !guest.empty() && guest.size() <= kNameBytesMax &&
           std::all_of(guest.begin(), guest.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  }
  if (!good)
    section.refuse("guests", "neither \"all\", \"none\" nor a list of guests",
                   "write guests = [\"NAME or UUID\", ...], at most " + std::to_string(kRulesMax));
}

void read_xen(Section& section, XenConfig& xen) {
  const toml::node* const enabled = section.take("enabled");
  const auto* const word = enabled != nullptr ? enabled->as_string() : nullptr;
  const auto* const flag = enabled != nullptr ? enabled->as_boolean() : nullptr;
  if (flag != nullptr)
    xen.enabled = flag->get() ? XenConfig::Enabled::kYes : XenConfig::Enabled::kNo;
  else if (enabled != nullptr && (word == nullptr || word->get() != "auto"))
    section.refuse("enabled", "unknown word", "write true, false or \"auto\"");
  read_guests(section, xen);
  section.number("max_queues", xen.queues_max, 1, TMEM_QUEUES_MAX);
  section.number("max_ring_order", xen.ring_order_max, TMEM_RING_ORDER_MIN, TMEM_RING_ORDER_MAX);
  section.number("max_slots", xen.slots_max, TMEM_SLOTS_MIN, kPageBytes / sizeof(uint32_t));
  section.size("write_back", xen.write_back_bytes_s, 0, kGiB);
  section.finish();
}

// head_room = "auto", "10%" or a size.
void read_head_room(Section& section, fallow::HeadRoom& out) {
  using Kind = fallow::HeadRoom::Kind;
  const toml::node* const node = section.take("head_room");
  if (node == nullptr) return;
  const auto* const word = node->as_string();
  const std::string text = word != nullptr ? word->get() : "";
  if (text == "auto") return;
  if (!text.ends_with('%')) {
    out.kind = Kind::kBytes;
    section.size("head_room", out.value, 0, kMemoryMaxBytes);
    return;
  }
  out.kind = Kind::kPercent;
  const char* const end = text.data() + text.size() - 1;
  const auto [stop, error] = std::from_chars(text.data(), end, out.value);
  if (error != std::errc{} || stop != end || out.value > 50)
    section.refuse("head_room", "not a part of the host's memory",
                   "write \"auto\", \"0%\" to \"50%\", or a size such as \"2G\"");
}

void read_pool(Section& section, Config& config) {
  section.choice("provider", config.pool.provider, kProviderWords);
  section.size("memory", config.store.budget_bytes, kMemoryMinBytes, kMemoryMaxBytes);
  config.pool.has_size = section.has("memory");
  section.boolean("populate", config.pool.populate);
  read_head_room(section, config.pool.head_room);
  section.finish();
}

void read_plain_sections(Section& root, Config& config, Problem& problem) {
  Section pool(table_of(root, "pool", problem), "pool", problem);
  read_pool(pool, config);

  constexpr uint64_t kDayMs = uint64_t{24} * 3600 * 1000;
  Section store(table_of(root, "store", problem), "store", problem);
  store.duration("lz4_after", config.store.lz4_after_ms, kDayMs);
  store.duration("zstd_after", config.store.zstd_after_ms, 30 * kDayMs);
  store.number("nursery_percent", config.store.nursery_percent, 0, 100);
  store.boolean("zstd", config.store.zstd);
  if (config.store.zstd && config.store.zstd_after_ms < config.store.lz4_after_ms)
    store.refuse(store.has("zstd_after") ? "zstd_after" : "lz4_after",
                 "zstd_after is shorter than lz4_after", "write a longer zstd_after");
  store.finish();

  Section loopback(table_of(root, "loopback", problem), "loopback", problem);
  read_socket(loopback, config.loopback.socket_path);
  read_mode(loopback, "mode", config.loopback.mode);
  loopback.number("max_clients", config.loopback.clients_max, 1, 4096);
  loopback.number("queues", config.loopback.queues, 1, TMEM_QUEUES_MAX);
  loopback.finish();

  Section xen(table_of(root, "xen", problem), "xen", problem);
  read_xen(xen, config.xen);

  Section control(table_of(root, "control", problem), "control", problem);
  read_socket(control, config.control.socket_path);
  read_mode(control, "mode", config.control.mode);
  control.text("group", config.control.group, 32, false);
  if (config.control.socket_path == config.loopback.socket_path)
    control.refuse("socket", "is the loopback socket too", "write another path");
  control.finish();

  Section policy(table_of(root, "policy", problem), "policy", problem);
  read_policy(policy, config.policy);

  Section daemon(table_of(root, "daemon", problem), "daemon", problem);
  daemon.number("workers", config.workers, 0, 64);
  daemon.choice("log_level", config.log_level, kLogWords);
  daemon.boolean("manual_clock", config.manual_clock);
  daemon.number("seed", config.seed, 0, uint64_t{1} << 62);
  if (config.seed != 0 && !config.manual_clock)
    daemon.refuse("seed", "makes fingerprints predictable",
                  "remove it, or add manual_clock = true");
  daemon.finish();
}

void read_clients(Section& root, Config& config, Problem& problem) {
  Section defaults(table_of(root, "defaults", problem), "defaults", problem);
  read_settings(defaults, config.defaults);
  read_memory_rule(defaults, config.memory_defaults);
  defaults.finish();

  std::set<std::string> seen;
  for (const toml::table* const table : tables_of(root, "client", problem)) {
    Section section(table, "client", problem);
    ClientRule rule;
    rule.settings = config.defaults;
    rule.memory = config.memory_defaults;
    rule.by_uuid = section.has("uuid");
    section.text("name", rule.name, kNameBytesMax, false);
    section.uuid("uuid", rule.uuid);
    if (rule.by_uuid == section.has("name") || (!rule.by_uuid && rule.name.empty()))
      problem.report(table->source(), "client", "does not say which client",
                     "write either name = \"...\" or uuid = \"...\"");
    read_settings(section, rule.settings);
    read_memory_rule(section, rule.memory);
    section.finish();
    if (!seen.insert(rule.by_uuid ? format_uuid(rule.uuid) : "name " + rule.name).second)
      section.refuse(rule.by_uuid ? "uuid" : "name", "has a [[client]] section already",
                     "write one section for each client");
    config.clients.push_back(std::move(rule));
  }
}

void read_shared_pools(Section& root, Config& config, Problem& problem) {
  std::set<Uuid> seen;
  for (const toml::table* const table : tables_of(root, "shared_pool", problem)) {
    Section section(table, "shared_pool", problem);
    Uuid pool{};
    section.uuid("uuid", pool);
    if (!section.has("uuid"))
      problem.report(table->source(), "shared_pool", "has no uuid", "write uuid = \"...\"");
    if (!seen.insert(pool).second)
      section.refuse("uuid", "has a [[shared_pool]] section already",
                     "write one section for each pool");
    const toml::node* const allowed = section.take("clients");
    const toml::array* const array = allowed != nullptr ? allowed->as_array() : nullptr;
    if (array == nullptr || array->size() > kRulesMax)
      problem.report(section.where("clients"), "shared_pool.clients", "not a list of clients",
                     "write clients = [\"UUID\", ...], at most " + std::to_string(kRulesMax));
    for (size_t i = 0; array != nullptr && i < array->size() && !problem.found(); ++i) {
      const toml::node& entry = (*array)[i];
      const auto client = entry.is_string() ? parse_uuid(entry.as_string()->get()) : std::nullopt;
      if (client)
        config.shared_grants.push_back({pool, *client});
      else
        problem.report(entry.source(), "shared_pool.clients", "not a uuid",
                       "write each client's uuid as \"8b5e0f6e-1c3a-4e7e-9f60-0242ac120002\"");
    }
    section.finish();
  }
}

// The sum of the guarantees must be funded by memory that eviction is never asked for. How much a
// pool without a size has is known only when it is opened: check_funds().
void check_guarantees(const toml::table& root, const Config& config, Problem& problem) {
  if (config.pool.provider != PoolConfig::Provider::kMemfd && !config.pool.has_size) return;
  const uint64_t memory_bytes = config.store.budget_bytes;
  const uint64_t reserve = reserve_bytes(memory_bytes);
  const std::string given = format_size(memory_bytes) + " of pool.memory";
  const auto too_much = [&](const toml::node* node, const std::string& key,
                            const std::string& sum_text, uint64_t sum_bytes) {
    if (sum_bytes + reserve <= memory_bytes) return;
    problem.report(node != nullptr ? node->source() : root.source(), key,
                   sum_text + " = " + format_size(sum_bytes) + " + reserve of " +
                       format_size(reserve) + " = " + format_size(sum_bytes + reserve) +
                       " is more than the " + given,
                   "write smaller guarantees or at least memory = \"" +
                       format_size((sum_bytes + reserve + kMiB - 1) / kMiB * kMiB) + "\"");
  };
  too_much(root.get("defaults"), "defaults.guarantee", "the guarantee of one client",
           config.defaults.guarantee_bytes);
  // At most kRulesMax guarantees of at most kMemoryMaxBytes: no overflow.
  uint64_t sum_bytes = 0;
  std::string sum_text;
  for (const ClientRule& rule : config.clients) {
    sum_bytes += rule.settings.guarantee_bytes;
    if (rule.settings.guarantee_bytes == 0 || sum_text.size() > 200) continue;
    sum_text += (sum_text.empty() ? "" : " + ") + format_size(rule.settings.guarantee_bytes);
    if (sum_text.size() > 200) sum_text += " + ...";
  }
  too_much(root.get("client"), "client.guarantee", "guarantees of " + sum_text, sum_bytes);
}

// The file in ASCII. Other characters are refused, but in comments, where they become blanks: no
// value may have any, and toml++ 3.3 is undefined for some of them outside of strings. (After a #
// within a string they become tabs, which the values refuse.)
std::string to_ascii(std::string_view text, Problem& problem) {
  std::string ascii(text);
  toml::source_position place{1, 1};
  bool after_hash = false;
  for (char& c : ascii) {
    after_hash = c != '\n' && (after_hash || c == '#');
    if (c == '\n') ++place.line;
    if (static_cast<unsigned char>(c) < 0x80) continue;
    if (!after_hash)
      problem.report({place, place, nullptr}, "", "a character outside of ASCII",
                     "write such characters in comments only");
    c = '\t';
  }
  return ascii;
}

Result<Config> read_config(std::string_view bytes, std::string_view file_name) {
  Problem problem(file_name);
  const std::string text = to_ascii(bytes, problem);
  if (problem.found()) return fail(Errc::kMalformed, problem.message());
  const toml::parse_result parsed = toml::parse(std::string_view(text));
  if (!parsed) {
    std::string reason;
    for (const char c : parsed.error().description()) reason += c >= 0x20 && c < 0x7f ? c : '?';
    problem.report(parsed.error().source(), "", reason, "see docs/configuration.md for an example");
    return fail(Errc::kMalformed, problem.message());
  }
  Config config;
  Section root(&parsed.table(), "", problem);
  read_plain_sections(root, config, problem);
  read_clients(root, config, problem);
  read_shared_pools(root, config, problem);
  root.finish();
  check_guarantees(parsed.table(), config, problem);
  if (problem.found()) return fail(Errc::kMalformed, problem.message());
  return config;
}

}  // namespace

uint64_t reserve_bytes(uint64_t budget_bytes) {
  return std::max(4 * kMiB, budget_bytes / 50);
}

uint64_t guaranteed_bytes(const Config& config) {
  uint64_t sum_bytes = 0;
  for (const ClientRule& rule : config.clients) sum_bytes += rule.settings.guarantee_bytes;
  return std::max(sum_bytes, config.defaults.guarantee_bytes);
}

Result<void> check_funds(const Config& config, uint64_t memory_bytes) {
  const uint64_t needed_bytes = guaranteed_bytes(config) + reserve_bytes(memory_bytes);
  if (needed_bytes <= memory_bytes) return {};
  const uint64_t whole_bytes = (needed_bytes + kMiB - 1) / kMiB * kMiB;
  return fail(Errc::kMalformed, "the configured guarantees and the reserve need " +
                                    format_size(whole_bytes) + ", the pool has " +
                                    format_size(memory_bytes) +
                                    ": write smaller guarantees, or more memory in [pool]");
}

bool XenConfig::admits(const store::ClientIdentity& identity) const {
  const auto has = [](const auto& list, const auto& one) {
    return std::find(list.begin(), list.end(), one) != list.end();
  };
  return all_guests || has(guest_uuids, identity.uuid) || has(guest_names, identity.name);
}

const ClientRule* Config::rule_for(const store::ClientIdentity& identity) const {
  for (const ClientRule& rule : clients)
    if (rule.by_uuid && rule.uuid == identity.uuid) return &rule;
  for (const ClientRule& rule : clients)
    if (!rule.by_uuid && rule.name == identity.name) return &rule;
  return nullptr;
}

const store::ClientSettings& Config::settings_for(const store::ClientIdentity& identity) const {
  const ClientRule* const rule = rule_for(identity);
  return rule != nullptr ? rule->settings : defaults;
}

arbiter::GuestRule Config::memory_rule_for(const store::ClientIdentity& identity) const {
  const ClientRule* const found = rule_for(identity);
  arbiter::GuestRule rule = found != nullptr ? found->memory : memory_defaults;
  if (!rule.mode && !xen.admits(identity)) rule.mode = arbiter::GuestMode::kOff;
  return rule;
}

Result<Config> parse_config(std::string_view text, std::string_view file_name) {
  try {
    return read_config(text, file_name);
  } catch (const std::exception& error) {
    return fail(Errc::kMalformed, std::string(file_name) + ": cannot be read: " + error.what() +
                                      ", see docs/configuration.md for an example");
  }
}

Result<Config> load_config(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
    return fail(Errc::kNotFound, path + ": there is no such file");
  if (fd < 0) return fail_os(path + ": cannot be opened");
  std::string text;
  std::array<char, 16384> chunk;
  ssize_t got = 0;
  while (text.size() <= kFileBytesMax && (got = read(fd, chunk.data(), chunk.size())) != 0) {
    if (got > 0) text.append(chunk.data(), static_cast<size_t>(got));
    if (got < 0 && errno != EINTR) break;
  }
  const int error = errno;
  (void)close(fd);
  if (got < 0) return fail_os(path + ": cannot be read", error);
  if (text.size() > kFileBytesMax)
    return fail(Errc::kMalformed, path + ": is longer than 1 MiB, write a shorter file");
  return parse_config(text, path);
}

}  // namespace tmem::control
