// SPDX-License-Identifier: GPL-2.0-or-later
// The verbs policy, policy-set and why: what reaches the policy, and what is refused before.
#include <catch2/catch.hpp>
#include <optional>

#include "tests/unit/control_world.h"
#include "tmemd/control/dispatcher.h"

using namespace tmem;
using namespace tmem::test;

namespace {

constexpr control::Peer kRoot{0, 1, true};
constexpr control::Peer kReader{1000, 1, false};

struct Desk : StoreWorld {
  explicit Desk(bool with_policy = true) {
    control::Hooks hooks;
    if (with_policy) {
      hooks.policy = [] { return json{{"mode", "advise"}}; };
      hooks.change_policy = [this](const arbiter::Change& given) -> Result<json> {
        change = given;
        if (given.guest == "nobody") return fail(Errc::kNotFound, "no such guest");
        return json{{"mode", "host"}};
      };
      hooks.why = [this](const std::optional<std::string>& guest) -> Result<json> {
        asked = guest;
        return json{{"guests", json::array()}};
      };
    }
    dispatcher.emplace(*store, clock, hooks, counters);
  }
  json ask(const char* verb, const json& args = json::object(), const control::Peer& peer = kRoot) {
    const json request = {{"id", 1}, {"verb", verb}, {"args", args}};
    return json::parse(dispatcher->answer(request.dump(), peer));
  }
  std::string refusal(const json& args) {
    const json answer = ask("policy-set", args);
    return answer["ok"].get<bool>() ? "accepted" : answer["error"]["message"].get<std::string>();
  }

  control::ServerCounters counters;
  std::optional<arbiter::Change> change;
  std::optional<std::string> asked;
  std::optional<control::Dispatcher> dispatcher;
};

}  // namespace

TEST_CASE("everybody may look, few may change") {
  Desk desk;
  CHECK(desk.ask("policy", json::object(), kReader)["result"]["mode"] == "advise");
  CHECK(desk.ask("why", json::object(), kReader)["ok"] == true);
  CHECK(desk.ask("policy-set", {{"mode", "off"}}, kReader)["error"]["code"] == "denied");
  CHECK_FALSE(desk.change);
  CHECK(desk.ask("policy-set", {{"mode", "off"}})["ok"] == true);
  CHECK(desk.change->mode == arbiter::Mode::kOff);
}

TEST_CASE("a change of all, and of one guest") {
  Desk desk;
  REQUIRE(desk.ask("policy-set", {{"strategy", "mom"}, {"knob", 1}})["ok"] == true);
  CHECK(desk.change->strategy == "mom");
  CHECK(desk.change->knob == 1.0);
  CHECK_FALSE(desk.change->mode);
  CHECK(desk.change->guest.empty());
  REQUIRE(desk.ask("policy-set", {{"guest", 7},
                                  {"mode", "guest"},
                                  {"min_bytes", 64 * kMiB},
                                  {"max_bytes", kGiB},
                                  {"weight", 5},
                                  {"priority", 1},
                                  {"reset", true}})["ok"] == true);
  CHECK(desk.change->guest == "7");
  CHECK(desk.change->reset);
  const arbiter::GuestRule& rule = desk.change->rule;
  CHECK(rule.mode == arbiter::GuestMode::kGuest);
  CHECK(rule.min_bytes == 64 * kMiB);
  CHECK(rule.max_bytes == kGiB);
  CHECK(rule.weight == 5);
  CHECK(rule.priority == 1);
  CHECK(desk.ask("policy-set", {{"guest", "nobody"}, {"weight", 1}})["error"]["code"] ==
        "not-found");
}

TEST_CASE("wrong values are refused with the key and what to write") {
  Desk desk;
  CHECK(desk.refusal(json::object()).find("mode, strategy, knob") != std::string::npos);
  CHECK(desk.refusal({{"mode", "guest"}}).find("off, advise, host") != std::string::npos);
  CHECK(desk.refusal({{"guest", "a"}}).find("min_bytes") != std::string::npos);
  CHECK(desk.refusal({{"guest", ""}, {"weight", 1}}).find("args.guest") == 0);
  CHECK(desk.refusal({{"guest", "a"}, {"mode", "advise"}}).find("off, guest, host") !=
        std::string::npos);
  CHECK(desk.refusal({{"guest", "a"}, {"min_bytes", 1}}).find("args.min_bytes") == 0);
  CHECK(desk.refusal({{"guest", "a"}, {"weight", 1}, {"knob", 1}}).find("unknown key \"knob\"") !=
        std::string::npos);
  CHECK(desk.refusal({{"min_bytes", kGiB}, {"mode", "host"}}).find("unknown key") !=
        std::string::npos);
  for (const json& knob : {json(-1), json("1"), json(1e9), json(nullptr)})
    CHECK(desk.refusal({{"knob", knob}}).find("args.knob: write a number") == 0);
  CHECK_FALSE(desk.change);
}

TEST_CASE("why of one guest, or of all") {
  Desk desk;
  REQUIRE(desk.ask("why", {{"guest", "alpha"}})["ok"] == true);
  CHECK(desk.asked == "alpha");
  REQUIRE(desk.ask("why")["ok"] == true);
  CHECK_FALSE(desk.asked);
  CHECK(desk.ask("why", {{"guest", true}})["error"]["code"] == "malformed");
}

TEST_CASE("without guests of Xen there is nothing to schedule") {
  Desk desk(false);
  for (const char* verb : {"policy", "why"}) {
    const json answer = desk.ask(verb);
    CHECK(answer["error"]["code"] == "conflict");
  }
  CHECK(desk.ask("policy-set", {{"mode", "off"}})["error"]["code"] == "conflict");
}
