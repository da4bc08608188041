// SPDX-License-Identifier: GPL-2.0-or-later
// The configuration file: what is read, and that each mistake is refused with its line and advice.
#include "tmemd/control/config.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

#include "tmem/text.hpp"

using namespace tmem;
using control::Config;
using control::parse_config;

namespace {

constexpr const char* kFull = R"(
[pool]
memory = "1G"
populate = true
provider = "pool-domain"
head_room = "12%"
[store]
lz4_after = "500ms"
zstd_after = 90
nursery_percent = 25
zstd = false
[loopback]
socket = "/run/x/loop.sock"
mode = "0600"
max_clients = 7
queues = 4
[xen]
enabled = true
guests = ["db", "8b5e0f6e-1c3a-4e7e-9f60-0242ac120002"]
max_queues = 2
max_ring_order = 3
max_slots = 64
write_back = "16M"
[control]
socket = "/run/x/control.sock"
mode = 0o640
group = "xen"
[policy]
mode = "host"
strategy = "squeezed"
knob = 0.5
idle_tax = false
log = "/tmp/d.log"
log_size = "1M"
[daemon]
workers = 3
log_level = "debug"
[defaults]
weight = 50
cap = "256M"
dedup = "group"
dedup_group = "web"
memory_min = "96M"
memory_priority = 3
[[client]]
name = "db"
weight = 400
guarantee = "128M"
dedup = "none"
memory_mode = "guest"
memory_max = "2G"
memory_weight = 900
[[client]]
uuid = "8b5e0f6e-1c3a-4e7e-9f60-0242ac120002"
cap = "none"
compress = false
[[shared_pool]]
uuid = "00000000-0000-4000-8000-00000000abcd"
clients = ["8b5e0f6e-1c3a-4e7e-9f60-0242ac120002", "00000000000040008000000000000001"]
)";

std::string refusal(const std::string& text) {
  const auto config = parse_config(text, "t.toml");
  return config ? "accepted" : config.error().message;
}

struct BadFile {
  const char* text;
  const char* place;   // file, line and key
  const char* advice;  // part of what to do instead
};

}  // namespace

TEST_CASE("an empty file gives the defaults") {
  const Config config = parse_config("", "t.toml").value();
  CHECK(config.store.budget_bytes == 256 * kMiB);
  CHECK_FALSE(config.pool.has_size);
  CHECK(config.pool.provider == control::PoolConfig::Provider::kAuto);
  CHECK(config.pool.head_room.kind == fallow::HeadRoom::Kind::kAuto);
  CHECK(config.loopback.socket_path == "/run/tmemd/loopback.sock");
  CHECK(config.control.mode == 0660);
  CHECK(config.workers == 0);
  CHECK(config.defaults.weight == 100);
  CHECK(config.defaults.cap_pages == store::kNoCap);
  CHECK(config.clients.empty());
  CHECK(parse_config("# a comment with \xc3\xbc and \xff\n", "t.toml"));
}

TEST_CASE("every key is read") {
  const auto parsed = parse_config(kFull, "t.toml");
  INFO((parsed ? "" : parsed.error().message));
  REQUIRE(parsed);
  const Config& config = *parsed;
  CHECK(config.store.budget_bytes == kGiB);
  CHECK(config.pool.has_size);
  CHECK(config.pool.populate);
  CHECK(config.pool.provider == control::PoolConfig::Provider::kPoolDomain);
  CHECK(config.pool.head_room.kind == fallow::HeadRoom::Kind::kPercent);
  CHECK(config.pool.head_room.value == 12);
  CHECK(config.store.lz4_after_ms == 500);
  CHECK(config.store.zstd_after_ms == 90'000);
  CHECK(config.store.nursery_percent == 25);
  CHECK_FALSE(config.store.zstd);
  CHECK(config.loopback.socket_path == "/run/x/loop.sock");
  CHECK(config.loopback.mode == 0600);
  CHECK(config.loopback.clients_max == 7);
  CHECK(config.loopback.queues == 4);
  CHECK(config.xen.enabled == control::XenConfig::Enabled::kYes);
  CHECK(config.xen.queues_max == 2);
  CHECK(config.xen.ring_order_max == 3);
  CHECK(config.xen.slots_max == 64);
  CHECK(config.xen.write_back_bytes_s == 16 * kMiB);
  CHECK(config.control.socket_path == "/run/x/control.sock");
  CHECK(config.control.mode == 0640);
  CHECK(config.control.group == "xen");
  CHECK(config.workers == 3);
  CHECK(config.log_level == control::LogLevel::kDebug);
  CHECK(config.policy.mode == arbiter::Mode::kHost);
  CHECK(config.policy.strategy == "squeezed");
  CHECK(config.policy.knob == 0.5);
  CHECK_FALSE(config.policy.idle_tax);
  CHECK(config.policy.log_path == "/tmp/d.log");
  CHECK(config.policy.log_bytes_max == kMiB);
  REQUIRE(config.shared_grants.size() == 2);
  CHECK(format_uuid(config.shared_grants[1].client) == "00000000-0000-4000-8000-000000000001");
}

TEST_CASE("which guests of a Xen host may use tmem") {
  const Uuid uuid = *parse_uuid("8b5e0f6e-1c3a-4e7e-9f60-0242ac120002");
  const auto admits = [](const char* line, const Uuid& who, const char* name) {
    const auto config = parse_config(std::string("[xen]\n") + line, "t.toml");
    REQUIRE(config);
    return config->xen.admits({who, DomId{1}, name});
  };
  CHECK(admits("", Uuid{9}, "any"));
  CHECK(admits("guests = \"all\"", Uuid{9}, "any"));
  CHECK_FALSE(admits("guests = \"none\"", uuid, "any"));
  CHECK_FALSE(admits("guests = []", uuid, "any"));
  constexpr const char* kList = "guests = [\"db\", \"8B5E0F6E1C3A4E7E9F600242AC120002\"]";
  CHECK(admits(kList, Uuid{9}, "db"));
  CHECK(admits(kList, uuid, "any"));
  CHECK_FALSE(admits(kList, Uuid{9}, "any"));
  CHECK_FALSE(admits(kList, Uuid{9}, "DB"));
  const Config config = parse_config("[xen]\nenabled = \"auto\"", "t.toml").value();
  CHECK(config.xen.enabled == control::XenConfig::Enabled::kAuto);
  CHECK(parse_config("[xen]\nenabled = false", "t.toml")->xen.enabled ==
        control::XenConfig::Enabled::kNo);
}

TEST_CASE("a guest's own memory: advised by default, rules over defaults") {
  const Config bare = parse_config("", "t.toml").value();
  CHECK(bare.policy.mode == arbiter::Mode::kAdvise);
  CHECK(bare.policy.strategy == "selfballoon+psi");
  CHECK_FALSE(bare.policy.knob);
  CHECK(bare.policy.idle_tax);
  CHECK(bare.policy.log_path == "/var/log/tmemd/decisions.log");
  CHECK(bare.memory_rule_for({Uuid{9}, DomId{1}, "any"}).empty());

  const Config config = parse_config(kFull, "t.toml").value();
  const arbiter::GuestRule db = config.memory_rule_for({Uuid{9}, DomId{1}, "db"});
  CHECK(db.mode == arbiter::GuestMode::kGuest);
  CHECK(db.min_bytes == 96 * kMiB);  // inherited
  CHECK(db.max_bytes == 2 * kGiB);
  CHECK(db.weight == 900);
  CHECK(db.priority == 3);
  // Nobody said that the policy should look after who may not use tmem.
  CHECK(config.memory_rule_for({Uuid{9}, DomId{1}, "stranger"}).mode == arbiter::GuestMode::kOff);
  CHECK(parse_config("[policy]\nlog = \"\"\nknob = 2", "t.toml")->policy.knob == 2.0);
}

TEST_CASE("a client's settings: rule by uuid, else by name, over the defaults") {
  const Config config = parse_config(kFull, "t.toml").value();
  const Uuid uuid = *parse_uuid("8b5e0f6e-1c3a-4e7e-9f60-0242ac120002");
  const auto& stranger = config.settings_for({Uuid{9}, DomId{1}, "stranger"});
  CHECK(stranger.weight == 50);
  CHECK(stranger.cap_pages == 65536);
  CHECK(stranger.dedup == store::DedupScope::kGroup);
  CHECK(stranger.dedup_group == "web");
  const auto& db = config.settings_for({Uuid{9}, DomId{1}, "db"});
  CHECK(db.weight == 400);
  CHECK(db.guarantee_bytes == 128 * kMiB);
  CHECK(db.cap_pages == 65536);  // inherited
  CHECK(db.dedup == store::DedupScope::kNone);
  CHECK(db.dedup_group.empty());
  const auto& by_uuid = config.settings_for({uuid, DomId{1}, "db"});
  CHECK(by_uuid.weight == 50);
  CHECK(by_uuid.cap_pages == store::kNoCap);
  CHECK_FALSE(by_uuid.compress);
}

TEST_CASE("each mistake is refused with file, line, key and advice") {
  const BadFile file = GENERATE(
      BadFile{"[pool]\nmemroy = 1", "t.toml:2: pool.memroy: unknown key",
              "known here are provider, memory"},
      BadFile{"[policy]\nmode = \"on\"", "t.toml:2: policy.mode: unknown word", "\"advise\""},
      BadFile{"[policy]\nstrategy = \"best\"", "t.toml:2: policy.strategy: no strategy",
              "\"selfballoon+psi\""},
      BadFile{"[policy]\nknob = -1", "t.toml:2: policy.knob: out of range", "from 0"},
      BadFile{"[policy]\nknob = nan", "t.toml:2: policy.knob: out of range", "from 0"},
      BadFile{"[policy]\nknob = \"1\"", "t.toml:2: policy.knob: not a number", "from 0"},
      BadFile{"[policy]\nlog = \"x\"", "t.toml:2: policy.log: not an absolute path", "slash"},
      BadFile{"[policy]\nlog_size = \"1k\"", "t.toml:2: policy.log_size: out of range", "64k"},
      BadFile{"[defaults]\nmemory_mode = \"x\"", "t.toml:2: defaults.memory_mode: unknown word",
              "\"guest\""},
      BadFile{"[defaults]\nmemory_max = \"1G\"\n[[client]]\nname = \"a\"\nmemory_min = \"2G\"",
              "t.toml:5: client.memory_min: memory_min is more than memory_max", "smaller"},
      BadFile{"[defaults]\nmemory_priority = 1001", "t.toml:2: defaults.memory_priority: out of",
              "1000"},
      BadFile{"[poool]", "t.toml:1: poool: unknown key", "pool, store, loopback"},
      BadFile{"x = 1", "t.toml:1: x: unknown key", "pool"},
      BadFile{"pool = 1", "t.toml:1: pool: not a section", "[pool]"},
      BadFile{"[pool]\nmemory = true", "t.toml:2: pool.memory: not a size", "512M"},
      BadFile{"[pool]\nmemory = \"12Q\"", "t.toml:2: pool.memory: not a size", "512M"},
      BadFile{"[pool]\nmemory = -5", "t.toml:2: pool.memory: not a size", "512M"},
      BadFile{"[pool]\nmemory = 1.5", "t.toml:2: pool.memory: not a size", "512M"},
      BadFile{"[pool]\nmemory = \"1M\"", "t.toml:2: pool.memory: out of range", "from 4M"},
      BadFile{"[pool]\nmemory = 99999999", "t.toml:2: pool.memory: out of range", "64T"},
      BadFile{"[pool]\n\npopulate = 1", "t.toml:3: pool.populate: not a boolean", "true or false"},
      BadFile{"[pool]\nprovider = \"disk\"", "t.toml:2: pool.provider: unknown word", "memfd"},
      BadFile{"[pool]\nhead_room = \"51%\"", "t.toml:2: pool.head_room: not a part", "50%"},
      BadFile{"[pool]\nhead_room = \"-1%\"", "t.toml:2: pool.head_room: not a part", "auto"},
      BadFile{"[pool]\nhead_room = \"%\"", "t.toml:2: pool.head_room: not a part", "auto"},
      BadFile{"[pool]\nhead_room = \"much\"", "t.toml:2: pool.head_room: not a size", "512M"},
      BadFile{"[store]\nlz4_after = \"2 s\"", "t.toml:2: store.lz4_after: not a duration", "500ms"},
      BadFile{"[store]\nzstd_after = \"999999h\"", "t.toml:2: store.zstd_after: ", "duration"},
      BadFile{"[store]\nzstd_after = 1", "t.toml:2: store.zstd_after: zstd_after is shorter",
              "longer zstd_after"},
      BadFile{"[store]\nnursery_percent = 101", "t.toml:2: store.nursery_percent: out of range",
              "from 0 to 100"},
      BadFile{"[store]\nnursery_percent = \"9\"",
              "t.toml:2: store.nursery_percent: not a whole number", "from 0 to 100"},
      BadFile{"[loopback]\nsocket = \"x.sock\"", "t.toml:2: loopback.socket: not an absolute path",
              "slash"},
      BadFile{"[loopback]\nmode = \"0999\"", "t.toml:2: loopback.mode: not a file mode", "0660"},
      BadFile{"[loopback]\nmode = 512", "t.toml:2: loopback.mode: not a file mode", "0660"},
      BadFile{"[loopback]\nmax_clients = 0", "t.toml:2: loopback.max_clients: out of range",
              "from 1"},
      BadFile{"[loopback]\nqueues = 99", "t.toml:2: loopback.queues: out of range", "to 8"},
      BadFile{"[xen]\nenabled = \"yes\"", "t.toml:2: xen.enabled: unknown word", "\"auto\""},
      BadFile{"[xen]\nenabled = 1", "t.toml:2: xen.enabled: unknown word", "true"},
      BadFile{"[xen]\nguests = \"some\"", "t.toml:2: xen.guests: neither", "NAME or UUID"},
      BadFile{"[xen]\nguests = [\"a b\"]", "t.toml:2: xen.guests: neither", "NAME or UUID"},
      BadFile{"[xen]\nguests = [1]", "t.toml:2: xen.guests: neither", "NAME or UUID"},
      BadFile{"[xen]\nmax_queues = 9", "t.toml:2: xen.max_queues: out of range", "to 8"},
      BadFile{"[xen]\nmax_ring_order = 0", "t.toml:2: xen.max_ring_order: out of range", "from 1"},
      BadFile{"[xen]\nmax_slots = 1025", "t.toml:2: xen.max_slots: out of range", "to 1024"},
      BadFile{"[control]\ngroup = \"a b\"", "t.toml:2: control.group: has characters", "spaces"},
      BadFile{"[control]\nsocket = \"/run/tmemd/loopback.sock\"",
              "t.toml:2: control.socket: is the loopback socket", "another path"},
      BadFile{"[daemon]\nworkers = 1000", "t.toml:2: daemon.workers: out of range", "to 64"},
      BadFile{"[daemon]\nlog_level = \"loud\"", "t.toml:2: daemon.log_level: unknown word",
              "\"warning\""},
      BadFile{"[defaults]\nweight = 1000001", "t.toml:2: defaults.weight: out of range", "1000000"},
      BadFile{"[defaults]\ncap = \"much\"", "t.toml:2: defaults.cap: not a size", "512M"},
      BadFile{"[defaults]\ndedup = \"all\"", "t.toml:2: defaults.dedup: unknown word", "\"host\""},
      BadFile{"[defaults]\ndedup = \"group\"", "t.toml:2: defaults.dedup: \"group\" needs",
              "dedup_group"},
      BadFile{"[defaults]\ndedup_group = \"a\"", "t.toml:2: defaults.dedup_group: has no effect",
              "dedup = \"group\""},
      BadFile{"[[client]]\nweight = 1", "t.toml:1: client: does not say which", "name ="},
      BadFile{"[[client]]\nname = \"a\"\nuuid = \"8b5e0f6e1c3a4e7e9f600242ac120002\"",
              "t.toml:1: client: does not say which", "either"},
      BadFile{"[[client]]\nname = \"a\"\n[[client]]\nname = \"a\"", "t.toml:4: client.name: has a",
              "one section"},
      BadFile{"[[client]]\nuuid = \"zz\"", "t.toml:2: client.uuid: not a uuid", "8b5e0f6e-"},
      BadFile{"[[client]]\nname = 3", "t.toml:2: client.name: not a string", "double quotes"},
      BadFile{"[[client]]\nname = \"a\"\nwieght = 3", "t.toml:3: client.wieght: unknown key",
              "weight"},
      BadFile{"[client]\nname = \"a\"", "t.toml:1: client: not a repeated section", "[[client]]"},
      BadFile{"[[shared_pool]]\nclients = []", "t.toml:1: shared_pool: has no uuid", "uuid ="},
      BadFile{"[[shared_pool]]\nuuid = \"8b5e0f6e1c3a4e7e9f600242ac120002\"\nclients = [\"x\"]",
              "t.toml:3: shared_pool.clients: not a uuid", "8b5e0f6e-"},
      BadFile{"[pool]\nmemory = 1\nmemory = 2", "t.toml:3: ", "docs/configuration.md"},
      BadFile{"[^", "t.toml: cannot be read", "docs/configuration.md"},
      BadFile{"[pool\n", "t.toml:1: ", "docs/configuration.md"},
      BadFile{"a = \"\xff\"", "t.toml:1: a character outside of ASCII", "comments"},
      BadFile{"[pool]\n\xc9\xaf = 1", "t.toml:2: a character outside of ASCII", "comments"},
      BadFile{"[[client]]\nname = \"a#\xc3\xbc\"", "t.toml:2: client.name: has characters",
              "ASCII"});
  const std::string message = refusal(file.text);
  INFO(file.text);
  INFO(message);
  CHECK(message.rfind(file.place, 0) == 0);
  CHECK(message.find(file.advice) != std::string::npos);
}

TEST_CASE("guarantees and the reserve must fit into the memory, and the sum is shown") {
  const std::string two =
      "[pool]\nmemory = \"64M\"\n"
      "[[client]]\nname = \"a\"\nguarantee = \"40M\"\n"
      "[[client]]\nname = \"b\"\nguarantee = \"20M\"\n";
  CHECK(parse_config(two, "t.toml"));  // 40 + 20 + 4 = 64
  const std::string message = refusal(two + "[[client]]\nname = \"c\"\nguarantee = \"1M\"\n");
  INFO(message);
  CHECK(message.find("40M + 20M + 1M = 61M + reserve of 4M = 65M") != std::string::npos);
  CHECK(message.find("memory = \"65M\"") != std::string::npos);
  // 2 % once that is more than two slots.
  CHECK(control::reserve_bytes(kGiB) == kGiB / 50);
  CHECK(refusal("[pool]\nmemory = \"64M\"\n[defaults]\nguarantee = \"61M\"")
            .find("t.toml:3: defaults.guarantee: ") == 0);
}

TEST_CASE("a pool that is opened must have the memory that is guaranteed") {
  const auto config = parse_config(
      "[[client]]\nname = \"a\"\nguarantee = \"40M\"\n"
      "[[client]]\nname = \"b\"\nguarantee = \"20M\"\n",
      "t.toml");
  REQUIRE(config);
  CHECK(control::check_funds(*config, 64 * kMiB));
  const auto refused = control::check_funds(*config, 63 * kMiB);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("need 64M, the pool has 63M") != std::string::npos);
}

TEST_CASE("a file that cannot be read is told from a bad one") {
  const auto missing = control::load_config("/nonexistent/tmemd.toml");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::kNotFound);
  CHECK(control::load_config("/").error().code == Errc::kOs);

  std::string path = "/tmp/tmem-config-test-XXXXXX";
  const int fd = mkstemp(path.data());
  REQUIRE(fd >= 0);
  (void)close(fd);
  std::ofstream(path) << "[pool]\nmemory = \"64M\"\n";
  CHECK(control::load_config(path).value().store.budget_bytes == 64 * kMiB);
  std::ofstream(path) << std::string(2 * kMiB, '#');
  CHECK(control::load_config(path).error().message.find("longer than 1 MiB") != std::string::npos);
  (void)unlink(path.c_str());
}

TEST_CASE("sizes, durations, numbers and uuids are read strictly") {
  CHECK(parse_size_bytes("512") == 512 * kMiB);
  CHECK(parse_size_bytes("3g") == 3 * kGiB);
  CHECK(parse_size_bytes("4096b") == 4096);
  CHECK(parse_size_bytes("1T") == 1024 * kGiB);
  for (const char* bad : {"", "M", "-1", "1.5G", " 1", "1 G", "1MB", "0x10", "99999999999999T"})
    CHECK_FALSE(parse_size_bytes(bad));
  CHECK(format_size(3 * kGiB) == "3G");
  CHECK(format_size(4097) == "4097b");
  CHECK(format_size(0) == "0b");
  CHECK(parse_duration_ms("2") == 2000);
  CHECK(parse_duration_ms("250ms") == 250);
  CHECK(parse_duration_ms("2m") == 120'000);
  for (const char* bad : {"", "ms", "s", "-1s", "1.5s", "9999999h", "1d"})
    CHECK_FALSE(parse_duration_ms(bad));
  CHECK_FALSE(parse_number("18446744073709551616"));
  CHECK_FALSE(parse_number("11", 10));
  const Uuid uuid = *parse_uuid("8B5E0F6E-1c3a-4e7e-9f60-0242ac120002");
  CHECK(format_uuid(uuid) == "8b5e0f6e-1c3a-4e7e-9f60-0242ac120002");
  for (const char* bad : {"", "8b5e0f6e", "8b5e0f6e-1c3a-4e7e-9f60-0242ac12000g",
                          "8b5e0f6e+1c3a-4e7e-9f60-0242ac120002"})
    CHECK_FALSE(parse_uuid(bad));
}
