// SPDX-License-Identifier: GPL-2.0-or-later
// The verbs of the control protocol: what they answer, what they change, what they refuse.
#include <catch2/catch.hpp>

#include "tests/unit/control_world.h"
#include "tmem/text.hpp"
#include "tmemd/control/dispatcher.h"

using namespace tmem;
using namespace tmem::test;

namespace {

constexpr control::Peer kRoot{0, 1, true};
constexpr control::Peer kReader{1000, 1, false};

// The dispatcher without a socket.
struct Desk : StoreWorld {
  explicit Desk(bool with_room_hooks = true) : has_room_hooks(with_room_hooks) {}

  const bool has_room_hooks;
  control::ServerCounters counters;
  int shutdowns = 0;
  std::vector<std::string> logged;
  std::function<void()> on_refusal;  // while puts of before are still under way
  std::function<void()> on_disconnect;
  json memory = {{"provider", "pool-domain"},
                 {"host", {{"total_bytes", 100}, {"free_bytes", 70}, {"claimed_bytes", 20}}},
                 {"room", nullptr}};
  Result<void> room_outcome;
  std::vector<std::pair<uint64_t, uint64_t>> rooms;  // bytes and hold asked for
  int rooms_cancelled = 0;
  control::Dispatcher dispatcher{*store, clock, hooks(), counters};

  control::Hooks hooks() {
    control::Hooks made;
    made.request_shutdown = [this](bool force) -> Result<void> {
      shutdowns += force ? 100 : 1;
      return {};
    };
    made.refuse_new_pages = [this](bool refuse) {
      if (refuse && on_refusal) on_refusal();
      store->refuse_new_pages(refuse);
    };
    made.disconnect_client = [this](uint32_t) -> Result<void> {
      if (on_disconnect) on_disconnect();
      return fail(Errc::kNotFound, "it has no connection");
    };
    made.transport_stats = [] { return json{{"rings", 3}}; };
    if (has_room_hooks) add_room_hooks(made);
    made.log = [this](const std::string& line) { logged.push_back(line); };
    return made;
  }
  void add_room_hooks(control::Hooks& made) {
    made.memory = [this] { return memory; };
    made.make_room = [this](uint64_t bytes, uint64_t hold_ms) {
      rooms.emplace_back(bytes, hold_ms);
      return room_outcome;
    };
    made.cancel_room = [this] { ++rooms_cancelled; };
  }
  json line(const std::string& text, const control::Peer& peer = kRoot) {
    return json::parse(dispatcher.answer(text, peer), nullptr, false);
  }
  json ask(const char* verb, const json& args = json::object(), const control::Peer& peer = kRoot) {
    return line(json{{"id", 1}, {"verb", verb}, {"args", args}}.dump(), peer);
  }
  std::string refusal(const char* verb, const json& args) {
    const json answer = ask(verb, args);
    return answer["ok"] == true ? "ok" : answer["error"]["code"].get<std::string>();
  }
};

}  // namespace

TEST_CASE("list gives the fields of ClientStats") {
  Desk desk;
  const json clients = desk.ask("list")["result"]["clients"];
  REQUIRE(clients.size() == 2);
  const json& alpha = clients[0];
  CHECK(alpha["identity"]["name"] == "alpha");
  CHECK(alpha["identity"]["uuid"] == "01000000-0000-0000-0000-000000000000");
  CHECK(alpha["pages"] == json{{"ephemeral", 10}, {"persistent", 5}});
  CHECK(alpha["settings"]["weight"] == 100);
  CHECK(alpha["settings"]["cap_pages"].is_null());
  CHECK(alpha["settings"]["dedup"] == "client");
  CHECK(alpha["counters"]["puts_ok"] == 15);
  CHECK(alpha["pools"][1]["spec"]["kind"] == "persistent");
  CHECK(alpha["pools"][1]["pages"] == 5);
}

TEST_CASE("a client is named by number, name or uuid") {
  Desk desk;
  const uint32_t number = desk.store->number(*desk.beta);
  for (const json& name : {json(number), json(std::to_string(number)), json("beta"),
                           json("02000000-0000-0000-0000-000000000000")}) {
    const json answer = desk.ask("list", {{"client", name}});
    INFO(answer.dump());
    REQUIRE(answer["ok"] == true);
    CHECK(answer["result"]["clients"][0]["identity"]["name"] == "beta");
  }
  CHECK(desk.refusal("list", {{"client", "nobody"}}) == "not-found");
  CHECK(desk.refusal("list", {{"client", 4711}}) == "not-found");
  CHECK(desk.refusal("list", {{"client", ""}}) == "malformed");
  CHECK(desk.refusal("list", {{"client", {1}}}) == "malformed");
  CHECK(desk.refusal("list", {{"client", -1}}) == "malformed");
  (void)desk.store->add_client({Uuid{9}, DomId{9}, "beta"}, {}).value();
  CHECK(desk.refusal("list", {{"client", "beta"}}) == "conflict");
}

TEST_CASE("info, stats, freeable and version") {
  Desk desk;
  desk.clock.advance_ms(2500);
  const json info = desk.ask("info")["result"];
  CHECK(info["store"]["budget_bytes"] == 32 * kMiB);
  CHECK(info["store"]["pages"] == json{{"ephemeral", 17}, {"persistent", 5}});
  CHECK(info["store"]["tier_bytes"].contains("zstd"));
  CHECK(info["uptime_ms"] == 2500);
  CHECK(info["store_epoch"] == std::to_string(desk.store->epoch()));
  const json stats = desk.ask("stats")["result"];
  CHECK(stats["transport"] == json{{"rings", 3}});
  CHECK(stats["control"]["requests"] == 2);
  CHECK(stats["clients"].size() == 2);
  CHECK(desk.ask("freeable")["result"]["freeable_bytes"] == desk.store->stats().freeable_bytes);
  CHECK(desk.ask("version")["result"]["version"] == TMEM_VERSION);
}

TEST_CASE("info, stats and freeable tell of the host's memory where the daemon knows it") {
  Desk desk;
  CHECK(desk.ask("info")["result"]["memory"] == desk.memory);
  CHECK(desk.ask("stats")["result"]["memory"] == desk.memory);
  CHECK(desk.ask("freeable")["result"]["host_free_bytes"] == 50);
  desk.memory["host"]["claimed_bytes"] = 71;
  CHECK(desk.ask("freeable")["result"]["host_free_bytes"] == 0);
  desk.memory["host"] = nullptr;
  CHECK_FALSE(desk.ask("freeable")["result"].contains("host_free_bytes"));

  Desk bare(false);
  CHECK(bare.ask("info")["result"].at("memory").is_null());
  CHECK(bare.ask("stats")["result"].at("memory").is_null());
  CHECK(bare.ask("freeable")["result"] ==
        json{{"freeable_bytes", bare.store->stats().freeable_bytes}});
}

TEST_CASE("make-room asks for memory and answers how things stand") {
  Desk desk;
  CHECK(desk.ask("make-room", {{"bytes", 5 * kMiB}})["result"] == desk.memory);
  CHECK(desk.ask("make-room", {{"bytes", 64 * 1024 * kGiB}, {"hold_ms", 3'600'000}})["ok"] == true);
  CHECK(desk.rooms == std::vector<std::pair<uint64_t, uint64_t>>{{5 * kMiB, 60'000},
                                                                 {64 * 1024 * kGiB, 3'600'000}});
  CHECK(desk.rooms_cancelled == 0);
  CHECK(desk.ask("make-room", {{"cancel", true}})["result"] == desk.memory);
  CHECK(desk.rooms_cancelled == 1);
  CHECK(desk.rooms.size() == 2);
}

TEST_CASE("make-room passes on why there is no room") {
  Desk desk;
  desk.room_outcome = fail(Errc::kNoSpace, "at most 7 MiB");
  const json answer = desk.ask("make-room", {{"bytes", 8 * kMiB}});
  CHECK(answer["error"] == json{{"code", "no-space"}, {"message", "at most 7 MiB"}});
  desk.room_outcome = fail(Errc::kConflict, "a memfd");
  CHECK(desk.refusal("make-room", {{"bytes", 8 * kMiB}}) == "conflict");
  CHECK(desk.counters.requests_failed == 2);
  Desk bare(false);
  CHECK(bare.refusal("make-room", {{"bytes", 8 * kMiB}}) == "conflict");
  CHECK(bare.refusal("make-room", {{"cancel", true}}) == "conflict");
}

TEST_CASE("make-room refuses what makes no sense and asks for nothing then") {
  Desk desk;
  const json bad_args = GENERATE(
      json::object(), json{{"bytes", kMiB - 1}}, json{{"bytes", 64 * 1024 * kGiB + 1}},
      json{{"bytes", -1}}, json{{"bytes", "512M"}}, json{{"bytes", nullptr}}, json{{"bytes", 1e9}},
      json{{"bytes", kMiB}, {"hold_ms", 0}}, json{{"bytes", kMiB}, {"hold_ms", 3'600'001}},
      json{{"bytes", kMiB}, {"cancel", true}}, json{{"cancel", 1}}, json{{"cancel", false}},
      json{{"cancel", true}, {"hold_ms", 1}}, json{{"bytes", kMiB}, {"wait", true}});
  INFO(bad_args.dump());
  CHECK(desk.refusal("make-room", bad_args) == "malformed");
  CHECK(desk.rooms.empty());
  CHECK(desk.rooms_cancelled == 0);
}

TEST_CASE("set changes what is named and nothing else") {
  Desk desk;
  const json answer = desk.ask("set", {{"client", "beta"},
                                       {"weight", 7},
                                       {"cap_pages", 1000},
                                       {"compress", false},
                                       {"dedup", "group"},
                                       {"dedup_group", "web"}});
  REQUIRE(answer["ok"] == true);
  const store::ClientSettings beta = desk.store->settings(*desk.beta);
  CHECK(beta.weight == 7);
  CHECK(beta.cap_pages == 1000);
  CHECK_FALSE(beta.compress);
  CHECK(beta.dedup == store::DedupScope::kGroup);
  CHECK(beta.dedup_group == "web");
  CHECK(desk.store->settings(*desk.alpha).weight == 100);
  CHECK(answer["result"]["clients"][0]["settings"]["weight"] == 7);

  REQUIRE(desk.ask("set", {{"client", "beta"}, {"cap_pages", nullptr}, {"dedup", "none"}})["ok"] ==
          true);
  CHECK(desk.store->settings(*desk.beta).cap_pages == store::kNoCap);
  CHECK(desk.store->settings(*desk.beta).dedup_group.empty());
  CHECK(desk.store->settings(*desk.beta).weight == 7);
}

TEST_CASE("set refuses what makes no sense and changes nothing then") {
  Desk desk;
  const json bad_args = GENERATE(
      json::object(), json{{"client", "beta"}}, json{{"weight", 1}},
      json{{"client", "beta"}, {"all", true}, {"weight", 1}},
      json{{"client", "beta"}, {"weight", -1}}, json{{"client", "beta"}, {"weight", 1.5}},
      json{{"client", "beta"}, {"weight", "1"}}, json{{"client", "beta"}, {"weight", 1000001}},
      json{{"client", "beta"}, {"compress", 1}}, json{{"client", "beta"}, {"dedup", "all"}},
      json{{"client", "beta"}, {"dedup", "group"}},
      json{{"client", "beta"}, {"dedup_group", "web"}},
      json{{"client", "beta"}, {"dedup", "group"}, {"dedup_group", "a b"}},
      json{{"client", "beta"}, {"weight", 1}, {"wieght", 1}},
      json{{"client", "beta"}, {"cap_pages", "none"}});
  INFO(bad_args.dump());
  CHECK(desk.refusal("set", bad_args) == "malformed");
  CHECK(desk.counters.requests_malformed == 1);
  CHECK(desk.store->settings(*desk.beta).weight == 100);
}

TEST_CASE("set for all clients is all or nothing") {
  Desk desk;
  CHECK(desk.refusal("set", {{"all", true}, {"guarantee_bytes", 20 * kMiB}}) == "no-space");
  CHECK(desk.store->settings(*desk.alpha).guarantee_bytes == 0);
  CHECK(desk.store->settings(*desk.beta).guarantee_bytes == 0);
  CHECK(desk.counters.requests_failed == 1);
  CHECK(desk.refusal("set", {{"all", true}, {"guarantee_bytes", 4 * kMiB}}) == "ok");
  CHECK(desk.store->settings(*desk.beta).guarantee_bytes == 4 * kMiB);
}

TEST_CASE("freeze and thaw") {
  Desk desk;
  REQUIRE(desk.ask("freeze", {{"all", true}})["ok"] == true);
  CHECK(desk.store->settings(*desk.alpha).frozen);
  REQUIRE(desk.ask("thaw", {{"client", "alpha"}})["ok"] == true);
  CHECK_FALSE(desk.store->settings(*desk.alpha).frozen);
  CHECK(desk.store->settings(*desk.beta).frozen);
}

TEST_CASE("flush drops ephemeral pages and no others") {
  Desk desk;
  CHECK(desk.refusal("flush", json::object()) == "malformed");
  CHECK(desk.refusal("flush", {{"client", "beta"}, {"bytes", 4096}}) == "malformed");
  CHECK(desk.ask("flush", {{"client", "beta"}})["result"]["dropped_pages"] == 7);
  CHECK(desk.store->stats().pages[0] == 10);
  CHECK(desk.ask("flush", {{"all", true}})["result"]["dropped_pages"] == 10);
  CHECK(desk.store->stats().pages[0] == 0);
  CHECK(desk.store->stats().pages[1] == 5);
}

TEST_CASE("destroy protects persistent pages unless forced") {
  Desk desk;
  CHECK(desk.refusal("destroy", json::object()) == "malformed");
  CHECK(desk.refusal("destroy", {{"client", "alpha"}}) == "conflict");
  CHECK(desk.store->stats().pages[1] == 5);
  CHECK(desk.refusal("destroy", {{"client", "beta"}}) == "ok");
  CHECK(desk.refusal("destroy", {{"client", "beta"}}) == "not-found");
  const json answer = desk.ask("destroy", {{"client", "alpha"}, {"force", true}});
  REQUIRE(answer["ok"] == true);
  CHECK(answer["result"]["lost_pages"] == json{{"ephemeral", 10}, {"persistent", 5}});
  CHECK(desk.ask("list")["result"]["clients"].empty());
}

TEST_CASE("destroy loses no page that is put meanwhile") {
  Desk desk;
  REQUIRE(desk.store->create_pool(*desk.beta, PoolId{1}, {store::Kind::kPersistent, false, {}}) ==
          store::Status::kOk);
  SECTION("it was put before: refused") {
    desk.on_refusal = [&desk] { REQUIRE(desk.put(*desk.beta, 1, 1)); };
    CHECK(desk.refusal("destroy", {{"client", "beta"}}) == "conflict");
    CHECK(desk.put(*desk.beta, 1, 2));
  }
  SECTION("it comes afterwards: it is not taken") {
    desk.on_disconnect = [&desk] { CHECK_FALSE(desk.put(*desk.beta, 1, 1)); };
    CHECK(desk.refusal("destroy", {{"client", "beta"}}) == "ok");
  }
  CHECK(desk.put(*desk.alpha, 1, 6));
}

TEST_CASE("shutdown is refused while persistent pages are held") {
  Desk desk;
  const json refused = desk.ask("shutdown");
  CHECK(refused["error"]["code"] == "conflict");
  CHECK(refused["error"]["message"].get<std::string>().find("alpha") != std::string::npos);
  CHECK(desk.shutdowns == 0);
  CHECK(desk.ask("shutdown", {{"force", true}})["result"]["lost_pages"] == 5);
  CHECK(desk.shutdowns == 100);
  desk.store->remove_client(*desk.alpha);
  CHECK(desk.ask("shutdown")["ok"] == true);
  CHECK(desk.shutdowns == 101);
}

TEST_CASE("shared pools: who may join") {
  Desk desk;
  const std::string pool = "00000000-0000-4000-8000-00000000abcd";
  const std::string absent = "8b5e0f6e-1c3a-4e7e-9f60-0242ac120002";
  const auto joins = [&](store::Client& client) {
    return desk.store->create_pool(client, PoolId{3},
                                   {store::Kind::kEphemeral, true, *parse_uuid(pool)});
  };
  CHECK(joins(*desk.beta) == store::Status::kRefused);
  const json add = {{"client", "beta"}, {"pool", pool}, {"allowed", true}};
  REQUIRE(desk.ask("shared-auth", add)["ok"] == true);
  CHECK(joins(*desk.beta) == store::Status::kOk);
  REQUIRE(desk.ask("shared-auth", {{"client", absent}, {"pool", pool}, {"allowed", true}})["ok"] ==
          true);
  CHECK(desk.ask("shared-list")["result"]["grants"].size() == 2);
  REQUIRE(desk.ask("shared-auth", {{"client", absent}, {"pool", pool}, {"allowed", false}})["ok"] ==
          true);
  CHECK(desk.ask("shared-list")["result"]["grants"] ==
        json{{{"pool", pool}, {"client", "02000000-0000-0000-0000-000000000000"}}});
  CHECK(desk.refusal("shared-auth", {{"client", "beta"}, {"pool", "x"}, {"allowed", true}}) ==
        "malformed");
  CHECK(desk.refusal("shared-auth", {{"client", "beta"}, {"pool", pool}}) == "malformed");
  CHECK(desk.refusal("shared-auth", {{"client", "no"}, {"pool", pool}, {"allowed", true}}) ==
        "not-found");
}

TEST_CASE("set-memory changes the budget within what there is") {
  Desk desk;
  CHECK(desk.ask("set-memory", {{"bytes", 16 * kMiB}})["result"] ==
        json{{"budget_bytes", 16 * kMiB}, {"previous_bytes", 32 * kMiB}});
  CHECK(desk.store->stats().budget_bytes == 16 * kMiB);
  CHECK(desk.refusal("set-memory", {{"bytes", kGiB}}) == "no-space");
  CHECK(desk.refusal("set-memory", {{"bytes", 1}}) == "malformed");
  CHECK(desk.refusal("set-memory", json::object()) == "malformed");
  CHECK(desk.store->stats().budget_bytes == 16 * kMiB);
}

TEST_CASE("who may only read cannot change anything") {
  Desk desk;
  for (const char* verb : {"version", "info", "list", "stats", "freeable", "shared-list"})
    CHECK(desk.ask(verb, json::object(), kReader)["ok"] == true);
  const char* const changes[] = {"set",         "freeze",     "thaw",      "flush",   "destroy",
                                 "shared-auth", "set-memory", "make-room", "shutdown"};
  for (const char* verb : changes) {
    const json answer =
        desk.ask(verb, {{"all", true}, {"force", true}, {"client", "beta"}}, kReader);
    CHECK(answer["error"]["code"] == "denied");
  }
  CHECK(desk.counters.requests_unauthorised == std::size(changes));
  CHECK(desk.shutdowns == 0);
  CHECK(desk.store->all_client_stats().size() == 2);
}

TEST_CASE("log lines are limited and the rest is counted") {
  Desk desk;
  desk.clock.advance_ms(5000);
  for (int i = 0; i < 100; ++i) (void)desk.ask("shutdown", json::object(), kReader);
  CHECK(desk.logged.size() == 5);
  desk.clock.advance_ms(1000);
  (void)desk.ask("shutdown", json::object(), kReader);
  CHECK(desk.logged.size() == 7);
  CHECK(desk.logged[5].find("95 lines") != std::string::npos);
}

TEST_CASE("malformed requests get an answer that says so") {
  Desk desk;
  const std::string text = GENERATE(
      as<std::string>{}, "", " ", "x", "{", "[]", "1", "null", "\"list\"", "{}", "{\"verb\":1}",
      "{\"verb\":\"list\",\"args\":[]}", "{\"verb\":\"list\",\"args\":null}",
      "{\"verb\":\"list\",\"id\":[]}", "{\"verb\":\"list\",\"id\":1.5}",
      "{\"verb\":\"list\",\"extra\":1}", "{\"verb\":\"list\"}{\"verb\":\"list\"}",
      "{\"verb\":\"list\",\"args\":{\"client\":[[[[[[[[[[1]]]]]]]]]]}}",
      "{\"verb\":\"list\",\"id\":1e999}", "{\"verb\":\"list\xff\xfe\"}",
      std::string("{\"verb\":\"li\0st\"}", 16), std::string(60000, '['),
      "{\"verb\":\"list\",\"id\":\"" + std::string(65, 'x') + "\"}");
  INFO(text);
  const json answer = desk.line(text);
  CHECK(answer["ok"] == false);
  CHECK(answer["error"]["code"] == "malformed");
  CHECK(answer["error"]["message"].get<std::string>().size() > 5);
  CHECK(desk.counters.requests_malformed == 1);
  CHECK(desk.ask("version")["ok"] == true);
}

TEST_CASE("the answer carries the request's id") {
  Desk desk;
  CHECK(desk.line(R"({"id":"a-1","verb":"version"})")["id"] == "a-1");
  CHECK(desk.line(R"({"id":18446744073709551615,"verb":"version"})")["id"] == UINT64_MAX);
  CHECK(desk.line(R"({"id":-3,"verb":"nope"})")["id"] == -3);
  CHECK(desk.line(R"({"verb":"version"})")["id"].is_null());
  CHECK(desk.line(R"({"id":5,"verb":"version","args":7})")["id"] == 5);
  CHECK(desk.line(R"({"id":5,"verb":"frobnicate"})")["error"]["code"] == "unknown-verb");
  CHECK(desk.counters.requests_unknown_verb == 2);
}

TEST_CASE("a client's name cannot break an answer") {
  Desk desk;
  (void)desk.store->add_client({Uuid{7}, DomId{7}, "\xff\"\n\x1b[2J"}, {}).value();
  const std::string answer = desk.dispatcher.answer(R"({"verb":"list"})", kRoot);
  CHECK(std::count(answer.begin(), answer.end(), '\n') == 1);
  CHECK(answer.find('\x1b') == std::string::npos);
  CHECK(json::parse(answer, nullptr, false)["result"]["clients"].size() == 3);
}
