// SPDX-License-Identifier: GPL-2.0-or-later
// Guests that set their own balloons: who has a balloon when, and how it comes back.
#include "tests/unit/arbiter_world.h"

namespace tmem::arbiter {
namespace {

Change to_mode(Mode mode) {
  Change change;
  change.mode = mode;
  return change;
}

}  // namespace

TEST_CASE("hand-over: the agent gets bounds and dom0 leaves its target alone") {
  ArbiterWorld w;
  w.rules["guest1"].mode = GuestMode::kGuest;
  w.add_guest(1, 900, 800).used_mib = 300;
  w.steps(30);
  CHECK(w.host.read(ArbiterWorld::path(1, "tmem/mode")) == "guest");
  CHECK(w.number_at(1, "tmem/min_kib") == 225 * 1024);
  CHECK(w.number_at(1, "tmem/max_kib") == 900 * 1024);
  const auto access = w.host.access(ArbiterWorld::path(1, "tmem"));
  REQUIRE(access);
  CHECK(access->owner == DomId{0});
  CHECK(access->reader == DomId{1});
  CHECK(w.target_mib(1) == 800);
  CHECK(w.actual_mib(1) == 360);  // as its agent wants
  CHECK(w.why(1)["writer"] == "guest");
  CHECK(w.why(1)["acknowledged"] == true);
  w.guests.at(1).used_mib = 600;
  w.steps(5);
  CHECK(w.actual_mib(1) == 720);
}

TEST_CASE("hand-back: dom0 writes no target before the agent has let go") {
  ArbiterWorld w;
  w.rules["guest1"].mode = GuestMode::kGuest;
  w.add_guest(1, 900, 800).used_mib = 300;
  w.steps(10);
  Change change;
  change.guest = "guest1";
  change.rule.mode = GuestMode::kHost;
  REQUIRE(w.arbiter->change(change));
  SECTION("it says so") {
    w.step();
    CHECK(w.host.read(ArbiterWorld::path(1, "tmem/mode")) == "host");
    CHECK(w.why(1)["writer"] == "returning");
    CHECK(w.target_mib(1) == 800);
    // Its kernel follows the agent's last word until there is a new one from dom0.
    w.guests.at(1).balloon_mib_per_s = 0;
    const uint64_t had_mib = w.actual_mib(1);
    w.step();
    CHECK(w.why(1)["writer"] == "host");
    CHECK(w.target_mib(1) == had_mib);
    CHECK(w.why(1)["uncooperative"] == false);
  }
  SECTION("it says for ever that it has not: waited for, but not for ever") {
    w.guests.at(1).has_agent = false;
    const auto insist = [&](int steps) {
      for (int i = 0; i < steps; ++i) {
        w.guests.at(1).balloons_itself = true;
        w.report(1);
        w.step();
      }
    };
    insist(30);
    CHECK(w.why(1)["writer"] == "returning");
    CHECK(w.why(1)["bound"] == "no-balloon");
    CHECK(w.target_mib(1) == 800);
    // What its agent was told it may have is nobody else's until then.
    CHECK(w.describe()["host"]["claims_bytes"] == (900 - w.actual_mib(1)) * kMiB);
    insist(5);
    CHECK(w.why(1)["writer"] == "host");
    CHECK(w.describe()["host"]["claims_bytes"] == 0);
  }
  SECTION("it died meanwhile") {
    w.guests.at(1).has_agent = false;
    w.steps(29);
    CHECK(w.why(1)["writer"] == "returning");
    w.steps(5);
    CHECK(w.why(1)["writer"] == "host");
  }
  SECTION("tmemd is started anew meanwhile") {
    w.step();
    w.guests.at(1).has_agent = false;
    w.begin(ArbiterWorld::in_host_mode());
    w.rules["guest1"].mode = GuestMode::kHost;
    w.steps(20);
    CHECK(w.why(1)["writer"] == "returning");
    CHECK(w.target_mib(1) == 800);
  }
}

TEST_CASE("an agent that falls silent loses the balloon, and gets it again ten minutes later") {
  ArbiterWorld w;
  w.rules["guest1"].mode = GuestMode::kGuest;
  w.add_guest(1, 900, 800).used_mib = 300;
  w.steps(10);
  w.guests.at(1).has_agent = false;
  w.steps(29);
  CHECK(w.why(1)["writer"] == "guest");
  w.steps(2);
  CHECK(w.why(1)["writer"] == "returning");
  CHECK(w.host.read(ArbiterWorld::path(1, "tmem/mode")) == "host");
  CHECK(w.logged("does not set its own balloon any more: its agent is silent"));
  w.steps(31);
  CHECK(w.why(1)["writer"] == "host");
  // Until then it is scheduled like others.
  w.guests.at(1).has_agent = true;
  w.steps(500);
  CHECK(w.why(1)["writer"] == "host");
  CHECK(w.why(1)["targets_written"].get<uint64_t>() > 0);
  w.steps(100);
  CHECK(w.why(1)["writer"] == "guest");
}

TEST_CASE("an agent that reports and does not take the balloon loses it") {
  ArbiterWorld w;
  w.rules["guest1"].mode = GuestMode::kGuest;
  w.add_guest(1, 900, 800).used_mib = 300;
  w.guests.at(1).obeys_mode = false;
  SECTION("it never took it") {
    w.steps(32);
  }
  SECTION("it has taken it before") {
    w.guests.at(1).obeys_mode = true;
    w.steps(60);
    REQUIRE(w.why(1)["acknowledged"] == true);
    w.guests.at(1).obeys_mode = false;
    w.steps(30);
  }
  CHECK(w.why(1)["writer"] == "guest");
  CHECK(w.why(1)["acknowledged"] == false);
  w.steps(3);
  CHECK(w.host.read(ArbiterWorld::path(1, "tmem/mode")) == "host");
  CHECK(w.logged("does not set its own balloon any more: its agent does not take it"));
  w.steps(30);
  CHECK(w.why(1)["writer"] == "host");
  CHECK(w.target_mib(1) < 800);
  w.guests.at(1).obeys_mode = true;
  w.steps(500);
  CHECK(w.why(1)["writer"] == "host");
  w.steps(100);
  CHECK(w.why(1)["writer"] == "guest");
  CHECK(w.why(1)["acknowledged"] == true);
}

TEST_CASE("a guest that goes above its bound loses the balloon") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 1400);
  w.rules["guest1"].mode = GuestMode::kGuest;
  w.rules["guest1"].max_bytes = 500 * kMiB;
  w.add_guest(1, 900, 400).used_mib = 300;
  w.add_guest(2, 900, 400);
  w.steps(10);
  REQUIRE(w.why(1)["writer"] == "guest");
  w.guests.at(1).grabs_mib = 700;
  w.steps(15);
  CHECK(w.why(1)["writer"] == "guest");
  w.steps(15);
  CHECK(w.why(1)["writer"] != "guest");
  CHECK(w.logged("above its bound"));
  CHECK(w.why(1)["over_bytes"].get<uint64_t>() >= 150 * kMiB);
  w.steps(60);
  CHECK(w.why(1)["writer"] == "host");
  CHECK(w.target_mib(1) <= 500);
}

TEST_CASE("a balloon is handed over to an agent that reports, not to a hope") {
  ArbiterWorld w;
  w.rules["guest1"].mode = GuestMode::kGuest;
  w.add_guest(1, 900, 800).has_agent = false;
  w.steps(30);
  CHECK(w.why(1)["writer"] == "host");
  CHECK_FALSE(w.host.exists_below("/local/domain/1/tmem"));
}

TEST_CASE("a lower bound is told at once, a little higher one is not") {
  ArbiterWorld w;
  w.rules["guest1"].mode = GuestMode::kGuest;
  w.rules["guest1"].max_bytes = 600 * kMiB;
  w.add_guest(1, 900, 500).used_mib = 300;
  w.steps(3);
  REQUIRE(w.number_at(1, "tmem/max_kib") == 600 * 1024);
  w.rules["guest1"].max_bytes = 600 * kMiB - 100 * kKiB;
  w.step();
  CHECK(w.number_at(1, "tmem/max_kib") == 600 * 1024 - 100);
  w.rules["guest1"].max_bytes = 603 * kMiB;
  w.rules["guest1"].min_bytes = w.why(1)["settings"]["min_bytes"].get<uint64_t>();
  w.step();
  CHECK(w.number_at(1, "tmem/max_kib") == 600 * 1024 - 100);
}

TEST_CASE("off: balloons are taken back from whoever has one, however long it takes") {
  ArbiterWorld w;
  w.rules["guest1"].mode = w.rules["guest2"].mode = GuestMode::kGuest;
  w.add_guest(1, 900, 500).used_mib = 300;
  w.add_guest(2, 900, 500).used_mib = 300;
  w.steps(5);
  const auto mode_of = [&](uint16_t id) {
    return w.host.read(ArbiterWorld::path(id, "tmem/mode"));
  };
  REQUIRE(mode_of(2) == "guest");
  // Kernels follow the agents' last word until there is a new one from dom0.
  w.guests.at(1).balloon_mib_per_s = w.guests.at(2).balloon_mib_per_s = 0;
  const uint64_t had_mib = w.actual_mib(1);
  REQUIRE(had_mib < 400);
  uint64_t second_had_mib = w.actual_mib(2);
  SECTION("a write fails") {
    REQUIRE(w.arbiter->change(to_mode(Mode::kOff)));
    w.faults.writes_fail = true;
    w.steps(3);
    CHECK(mode_of(1) == "guest");
    w.faults.writes_fail = false;
  }
  SECTION("a guest is paused") {
    w.guests.erase(2);
    second_had_mib = 444;
    w.host.set_memory(2, 444 * kMiB, 900 * kMiB, /*runs=*/false);
    w.steps(2);
    REQUIRE(w.arbiter->change(to_mode(Mode::kOff)));
  }
  SECTION("an earlier tmemd gave them") {
    Settings off;
    off.mode = Mode::kOff;
    w.begin(off);
  }
  w.step();
  CHECK(mode_of(1) == "host");
  CHECK(mode_of(2) == "host");
  CHECK(w.target_mib(1) == 500);
  w.step();
  CHECK(w.target_mib(1) == had_mib);
  const bool answers = w.guests.contains(2);
  CHECK(w.target_mib(2) == (answers ? second_had_mib : 500));
  w.steps(31);
  CHECK(w.target_mib(2) == second_had_mib);
  w.step();
  const uint64_t reads = w.host.reads;
  w.steps(10);
  CHECK(w.host.reads - reads < 200);  // what the simulated guests read
}

TEST_CASE("a guest that dies before it is given its balloon leaves nothing in xenstore") {
  ArbiterWorld w;
  w.rules["guest1"].mode = GuestMode::kGuest;
  w.add_guest(1, 900, 500);
  w.step();
  w.report(1);
  w.faults.before_write = [&w] { w.host.destroy_domain(1); };
  w.arbiter->turn(w.store.clock.now_ms());
  CHECK(w.faults.writes > 0);
  CHECK_FALSE(w.host.exists_below("/local/domain/1"));
}

TEST_CASE("whoever has its own balloon gives it back when the mode changes or a rival comes") {
  ArbiterWorld w;
  w.rules["guest1"].mode = GuestMode::kGuest;
  w.add_guest(1, 900, 800).used_mib = 300;
  w.steps(5);
  REQUIRE(w.host.read(ArbiterWorld::path(1, "tmem/mode")) == "guest");
  w.guests.at(1).balloon_mib_per_s = 0;
  const uint64_t had_mib = w.actual_mib(1);
  const Mode mode = GENERATE(Mode::kOff, Mode::kAdvise, Mode::kHost);
  if (mode == Mode::kHost)
    w.rival = "squeezed";
  else
    REQUIRE(w.arbiter->change(to_mode(mode)));
  w.steps(12);
  CHECK(w.host.read(ArbiterWorld::path(1, "tmem/mode")) == "host");
  CHECK(w.target_mib(1) == had_mib);
  const uint64_t writes = w.faults.writes;
  w.steps(40);
  CHECK(w.faults.writes == writes);
}

TEST_CASE("bounds of guests with their own balloons and targets of others fit into the host") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 1600);
  w.rules["guest1"].mode = w.rules["guest2"].mode = GuestMode::kGuest;
  w.add_guest(1, 1500, 400);
  w.add_guest(2, 1500, 400);
  w.add_guest(3, 1500, 400);
  for (int i = 0; i < 120; ++i) {
    w.guests.at(1).used_mib = i % 40 < 20 ? 100 : 1400;
    w.guests.at(2).used_mib = i % 50 < 20 ? 1400 : 100;
    w.guests.at(3).used_mib = i % 60 < 20 ? 700 : 100;
    w.step();
    CAPTURE(i);
    CHECK(w.held_by_guests() + w.head_room_bytes <= w.host_bytes + 3 * 17 * kMiB);
  }
}

}  // namespace tmem::arbiter
