// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest can make the daemon log is bounded, and what was left out is said.
#include "tmemd/guest_log.h"

#include <catch2/catch.hpp>
#include <vector>

namespace tmem {
namespace {

struct LogWorld {
  ManualClock clock;
  std::vector<std::string> lines;
  GuestLog log{clock, [this](LogKind, const std::string& text) { lines.push_back(text); }};

  void say(int times) {
    for (int i = 0; i < times; ++i) log.line("the guest is at it again");
  }
};

}  // namespace

TEST_CASE("guest log: a burst of ten, then one a second, whatever happens") {
  LogWorld world;
  world.say(1'000);
  CHECK(world.lines.size() == 10);
  for (int second = 0; second < 60; ++second) {
    world.clock.advance_ms(1'000);
    world.say(1'000);
  }
  // Each of the sixty is preceded by the number of those that were left out.
  CHECK(world.lines.size() == 10 + 2 * 60);
  CHECK(world.lines[10] == "990 messages about clients were left out");
  CHECK(world.lines[12] == "999 messages about clients were left out");
}

TEST_CASE("guest log: quiet times earn a burst again, and no more than that") {
  LogWorld world;
  world.say(10);
  world.clock.advance_ms(3'500);
  world.say(5);
  CHECK(world.lines.size() == 13);
  world.clock.advance_ms(3'600'000);
  world.lines.clear();
  world.say(100);
  CHECK(world.lines.size() == 11);
  CHECK(world.lines.front() == "2 messages about clients were left out");
}

}  // namespace tmem
