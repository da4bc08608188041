// SPDX-License-Identifier: GPL-2.0-or-later
// Balloons that do not follow: stuck, slow, grabbing, and none at all.
#include "tests/unit/arbiter_world.h"

namespace tmem::arbiter {

TEST_CASE("a balloon that does not move is told of, counted, and does not stop the others") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 1400);
  w.add_guest(1, 900, 600).balloon_mib_per_s = 0;
  w.guests.at(1).used_mib = 100;
  w.add_guest(2, 900, 400);
  w.guests.at(2).used_mib = 600;
  w.steps(60);
  CHECK(w.actual_mib(2) >= 560);
  CHECK(w.actual_mib(1) == 600);
  auto why = w.why(1);
  CHECK(why["uncooperative"] == true);
  CHECK(why["times_uncooperative"] == 1);
  CHECK(why["bound"] == "no-balloon");
  CHECK(w.logged("guest 1 (guest1) is uncooperative"));
  // It moves again: it takes part again.
  w.guests.at(1).balloon_mib_per_s = 50;
  w.steps(30);
  why = w.why(1);
  CHECK(why["uncooperative"] == false);
  CHECK(why["times_uncooperative"] == 1);
  CHECK(w.actual_mib(1) < 600);
}

TEST_CASE("a balloon that does not grow loses its claim, and cannot take it later") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 3200);
  w.add_guest(1, 2000, 1000).balloon_mib_per_s = 0;
  w.guests.at(1).used_mib = 1900;
  w.add_guest(2, 2000, 1000);
  w.steps(10);
  REQUIRE(w.target_mib(1) > 1500);
  w.guests.at(2).used_mib = 1900;
  w.faults.writes_fail = true;
  w.steps(20);
  REQUIRE(w.why(1)["uncooperative"] == true);
  w.steps(10);
  // While it cannot be told, what it may take is nobody else's.
  CHECK(w.describe()["host"]["claims_bytes"].get<uint64_t>() / kMiB == w.target_mib(1) - 1000);
  w.faults.writes_fail = false;
  w.steps(2);
  CHECK(w.target_mib(1) == 1000);
  CHECK(w.why(1)["uncooperative"] == true);
  CHECK(w.describe()["host"]["claims_bytes"] == 0);
  w.steps(20);
  CHECK(w.actual_mib(2) > 1800);
  // It moves after all, and is asked again: within the host.
  w.guests.at(1).balloon_mib_per_s = 256;
  for (int i = 0; i < 120; ++i) {
    w.step();
    CHECK(w.target_mib(1) + w.target_mib(2) <= 3200 - 64);
    CHECK(w.held_by_guests() + w.head_room_bytes <= w.host_bytes);
  }
  CHECK(w.why(1)["uncooperative"] == false);
  CHECK(w.actual_mib(1) > 1200);
}

TEST_CASE("who takes memory by itself is planned like everybody, and told of") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 2048);
  w.add_guest(1, 1500, 600).used_mib = 100;
  w.add_guest(2, 900, 600).used_mib = 550;
  w.steps(40);
  const uint64_t given_mib = w.target_mib(1);
  const uint64_t honest_mib = w.actual_mib(2);
  REQUIRE(given_mib < 600);
  w.guests.at(1).grabs_mib = 1200;
  w.steps(60);
  const auto why = w.why(1);
  CHECK(why["uncooperative"] == true);
  CHECK(why["over_bytes"].get<uint64_t>() >= 600 * kMiB);
  CHECK(why["bound"] != "no-balloon");
  CHECK(w.target_mib(1) <= given_mib);
  CHECK(w.logged("it was never given"));
  // What it took is not taken from the other.
  CHECK(w.actual_mib(2) + 8 >= honest_mib);
  w.guests.at(1).grabs_mib = 0;
  w.steps(10);
  CHECK(w.why(1)["uncooperative"] == false);
  CHECK(w.why(1)["over_bytes"] == 0);
}

TEST_CASE("what is said of an uncooperative guest is said every ten minutes at most") {
  ArbiterWorld w;
  w.add_guest(1, 900, 800).balloon_mib_per_s = 0;
  for (int i = 0; i < 590; ++i) {
    w.guests.at(1).balloon_mib_per_s = i % 30 == 0 ? 1 : 0;
    w.step();
  }
  CHECK(w.why(1)["times_uncooperative"].get<uint64_t>() > 10);
  CHECK(std::ranges::count_if(w.log, [](const std::string& line) {
          return line.find("uncooperative") != std::string::npos;
        }) == 1);
}

TEST_CASE("a slow balloon is not a stuck one, though its target moves each second") {
  ArbiterWorld w;
  w.add_guest(1, 1600, 1500).balloon_mib_per_s = 1;
  w.steps(90);
  CHECK(w.why(1)["times_uncooperative"] == 0);
  CHECK(w.actual_mib(1) < 1500);
}

TEST_CASE("without a balloon driver a guest is left alone") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 4096);
  w.add_guest(1, 900, 800);
  w.host.write(ArbiterWorld::path(1, "control/feature-balloon"), "0");
  // An emulated machine, which has not said that it has one.
  w.add_guest(2, 900, 800).has_agent = false;
  w.host.set_hvm(2);
  w.host.write("/local/domain/0/device-model/2/state", "running");
  // Whose disk QEMU serves, and nothing else.
  w.add_guest(3, 900, 800).has_agent = false;
  w.host.write("/local/domain/0/device-model/3/state", "running");
  w.rules["guest3"].max_bytes = 700 * kMiB;
  w.steps(30);
  for (const uint16_t id : {uint16_t{1}, uint16_t{2}}) {
    CHECK(w.target_mib(id) == 800);
    CHECK(w.why(id)["bound"] == "no-balloon");
  }
  CHECK(w.target_mib(3) == 700);
  SECTION("it says that it has one") {
    w.host.write(ArbiterWorld::path(2, "control/feature-balloon"), "1");
    w.rules["guest2"].max_bytes = 700 * kMiB;
  }
  SECTION("it has an agent") {
    w.guests.at(2).has_agent = true;
  }
  w.steps(30);
  CHECK(w.target_mib(2) < 800);
}

}  // namespace tmem::arbiter
