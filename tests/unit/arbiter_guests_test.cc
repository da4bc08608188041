// SPDX-License-Identifier: GPL-2.0-or-later
// The arbiter with guests of every kind: honest, without agent, half-present, silent, lying,
// flooding and dying ones.
#include "tests/unit/arbiter_world.h"

namespace tmem::arbiter {
namespace {

// Memory goes from the one that does not use it to the one that does.
void check_balance_works(ArbiterWorld& w, uint16_t busy) {
  REQUIRE(w.actual_mib(busy) < 600);
  w.guests.at(busy).used_mib = 600;
  w.steps(60);
  CAPTURE(w.describe().dump(2));
  CHECK(w.actual_mib(busy) >= 560);  // how close is the strategy's matter
}

}  // namespace

TEST_CASE("memory goes to the guest that uses it, within the host") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 1024);
  w.add_guest(1, 900, 480);
  w.add_guest(2, 900, 480);
  check_balance_works(w, 2);
  CHECK(w.actual_mib(1) < 480);
  CHECK(w.held_by_guests() + w.head_room_bytes <= w.host_bytes);
  const auto why = w.why(2);
  CHECK(why["writer"] == "host");
  CHECK(why["targets_written"].get<uint64_t>() > 0);
  CHECK(why["report"]["state"] == "fresh");
  CHECK(why["report"]["accepted"].get<uint64_t>() > 50);
  CHECK(why["target_bytes"].get<uint64_t>() / kMiB == why["planned_bytes"].get<uint64_t>() / kMiB);
}

TEST_CASE("a target is never above the toolstack's maximum, nor below the minimum") {
  ArbiterWorld w;
  w.add_guest(1, 512, 256).used_mib = 5'000;  // no bound of its own
  w.add_guest(2, 800, 800).used_mib = 1;
  w.rules["guest2"].max_bytes = 4096 * kMiB;
  for (int i = 0; i < 120; ++i) {
    w.step();
    CHECK(w.target_mib(1) <= 512);
    CHECK(w.target_mib(2) >= 200);  // a quarter of its maximum
    CHECK(w.target_mib(2) <= 800);
  }
  CHECK(w.target_mib(1) == 512);
  w.rules["guest1"].max_bytes = 300 * kMiB;
  w.steps(3);
  CHECK(w.target_mib(1) == 300);
}

TEST_CASE("a guest without agent keeps what it has") {
  ArbiterWorld w;
  w.add_guest(1, 900, 480).has_agent = false;
  w.add_guest(2, 900, 480);
  check_balance_works(w, 2);
  CHECK(w.actual_mib(1) == 480);
  CHECK(w.target_mib(1) == 480);
  CHECK(w.why(1)["report"]["state"] == "none");
}

TEST_CASE("half-present: the module without the agent grows by what the pool gives back") {
  ArbiterWorld w;
  w.add_guest(1, 900, 300).has_agent = false;
  const store::ClientRef client = w.connect(1);
  for (uint32_t i = 0; i < 4096; ++i)
    REQUIRE(w.store.put(client, store::key(1, 1, i), store::noise(i)) == store::Status::kOk);
  w.steps(2);
  CHECK(w.target_mib(1) == 300);
  for (int second = 0; second < 10; ++second) {
    for (uint32_t i = 0; i < 4096; ++i)
      REQUIRE(w.store.get(client, store::key(1, 1, i)) == store::Status::kOk);
    w.step();
  }
  CHECK(w.why(1)["pool"]["persistent_pages"] == 4096);
  CHECK(w.target_mib(1) > 300);
}

TEST_CASE("half-present: the agent without the module is served by its report") {
  ArbiterWorld w;
  w.add_guest(1, 900, 300);
  check_balance_works(w, 1);
  CHECK(w.why(1)["pool"]["charged_bytes"] == 0);
}

TEST_CASE("an agent that dies leaves its guest's last target") {
  ArbiterWorld w;
  w.add_guest(1, 900, 480).used_mib = 300;
  w.add_guest(2, 900, 480);
  w.steps(20);
  w.guests.at(1).has_agent = false;
  w.steps(35);
  CHECK(w.why(1)["report"]["state"] == "stale");
  const uint64_t held_mib = w.target_mib(1);
  check_balance_works(w, 2);
  CHECK(w.target_mib(1) == held_mib);
}

TEST_CASE("reports that contradict themselves or are no reports change nothing and are counted") {
  ArbiterWorld w;
  w.add_guest(1, 900, 480).used_mib = 400;
  w.add_guest(2, 900, 480);
  w.steps(5);
  w.guests.at(1).has_agent = false;
  const uint64_t before_mib = w.target_mib(1);
  policy::Sample lie = w.sample_of(w.guests.at(1));
  for (uint64_t i = 0; i < 20; ++i) {
    lie.sequence = 100 + i;
    lie.total_bytes = uint64_t{1} << 50;
    w.write_report(1, i % 2 == 0 ? policy::format_report(lie)
                                 : "1 seq=-1 total_kib=99999999999999999999" + std::to_string(i));
    w.step();
  }
  CHECK(w.target_mib(1) == before_mib);
  const auto report = w.why(1)["report"];
  CHECK(report["absurd"] == 10);
  CHECK(report["malformed"] == 10);
  CHECK(report["complaint"].is_string());
  check_balance_works(w, 2);
}

TEST_CASE("who talks nonsense keeps its share, and not what it has borrowed") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 1064);
  w.pool_held_bytes = w.pool_freeable_bytes = 16 * kMiB;
  w.add_guest(1, 900, 700).has_agent = false;
  w.add_guest(2, 900, 280).used_mib = 800;
  for (int i = 0; i < 60; ++i) {
    w.write_report(1, "nonsense " + std::to_string(i));
    w.step();
    CHECK(w.target_mib(1) >= 499);
  }
  CHECK(w.target_mib(1) <= 500);
  CHECK(w.why(1)["bound"] == "stale");
  CHECK(w.actual_mib(2) > 450);
}

TEST_CASE("a guest whose numbers oscillate hurts only itself") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 1024);
  w.add_guest(1, 900, 300);
  w.add_guest(2, 900, 400).used_mib = 300;
  for (int i = 0; i < 60; ++i) {
    w.guests.at(1).used_mib = i % 2 == 0 ? 1 : 100'000;
    w.step();
    CHECK(w.held_by_guests() + w.head_room_bytes <= w.host_bytes);
    CHECK(w.actual_mib(2) >= 260);  // it probes a little below
  }
}

TEST_CASE("who floods its report is no longer watched for a second, and still read") {
  ArbiterWorld w;
  w.add_guest(1, 900, 480);
  w.add_guest(2, 900, 480);
  w.steps(2);
  const size_t watches = w.host.watches();
  REQUIRE(watches == 2);
  w.store.clock.advance_ms(1'000);
  for (int i = 0; i < 50; ++i) w.report(1);
  (void)w.arbiter->handle_events(w.store.clock.now_ms());
  CHECK(w.host.watches() == 1);
  // Nothing of it reaches us now.
  for (int i = 0; i < 50; ++i) w.report(1);
  CHECK(w.host.events_waiting() == 0);
  const auto why = w.why(1)["report"];
  CHECK(why["watch_dropped"] == 1);
  const uint64_t accepted = why["accepted"].get<uint64_t>();
  w.arbiter->turn(w.store.clock.now_ms());
  CHECK(w.why(1)["report"]["accepted"] == accepted + 1);
  CHECK(w.host.watches() == 1);
  w.steps(2);
  CHECK(w.host.watches() == 2);
  CHECK(w.why(2)["report"]["watch_dropped"] == 0);
}

TEST_CASE("an urgent report makes a turn due; any other does not") {
  ArbiterWorld w;
  w.add_guest(1, 900, 480);
  w.steps(3);
  w.store.clock.advance_ms(200);
  w.report(1);
  CHECK_FALSE(w.arbiter->handle_events(w.store.clock.now_ms()));
  ++w.guests.at(1).urgent;
  w.report(1);
  CHECK(w.arbiter->handle_events(w.store.clock.now_ms()));
  w.arbiter->turn(w.store.clock.now_ms());
  CHECK(w.why(1)["report"]["urgent"] == true);
  // The same again is old.
  w.report(1);
  CHECK_FALSE(w.arbiter->handle_events(w.store.clock.now_ms()));
}

TEST_CASE("urgent reports make four turns a second due in all, and two for one guest") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 8192);
  for (uint16_t id = 1; id <= 5; ++id) w.add_guest(id, 900, 480);
  w.steps(3);
  const auto due_of = [&](uint16_t first, uint16_t last) {
    int due = 0;
    for (int i = 0; i < 5; ++i) {  // so often a report is watched
      for (uint16_t id = first; id <= last; ++id) {
        ++w.guests.at(id).urgent;
        w.report(id);
        if (w.arbiter->handle_events(w.store.clock.now_ms())) {
          ++due;
          w.arbiter->turn(w.store.clock.now_ms());
        }
      }
      w.store.clock.advance_ms(20);
    }
    return due;
  };
  CHECK(due_of(1, 1) == 2);
  CHECK(due_of(2, 2) == 2);  // the first has taken no place of the second
  CHECK(due_of(3, 3) == 0);
  w.store.clock.advance_ms(1'000);
  CHECK(due_of(1, 5) == 4);
}

TEST_CASE("a guest that dies between look and write leaves nothing in xenstore") {
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  w.add_guest(2, 900, 480);
  w.steps(2);
  w.rules["guest1"].max_bytes = 128 * kMiB;  // its target will be written in any case
  w.faults.before_write = [&w] {
    if (!w.host.exists_below("/local/domain/1/")) return;
    w.host.destroy_domain(1);
  };
  for (int i = 0; i < 30 && w.host.exists_below("/local/domain/1/"); ++i) {
    w.store.clock.advance_ms(1'000);
    w.arbiter->turn(w.store.clock.now_ms());
  }
  CHECK_FALSE(w.host.exists_below("/local/domain/1"));
  w.faults.before_write = nullptr;
  w.guests.erase(1);
  w.steps(2);
  CHECK_FALSE(w.arbiter->look().why("1", w.store.clock.now_ms()));
  check_balance_works(w, 2);
}

TEST_CASE("who is paused, shut down, being built or dying is left out, and not its memory") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 1024);
  w.add_guest(1, 900, 400).used_mib = 900;
  w.add_guest(2, 900, 400);
  w.host.set_memory(2, 400 * kMiB, 900 * kMiB, /*runs=*/false);
  w.guests.erase(2);
  w.host.add_domain(3, ArbiterWorld::uuid_of(3));  // the toolstack has not described it
  w.steps(30);
  CHECK(w.describe()["guests"].size() == 1);
  CHECK(w.target_mib(2) == 400);
  CHECK(w.actual_mib(1) <= 1024 - 400 - 64);
  CHECK(w.actual_mib(1) > 500);
}

TEST_CASE("a write that fails is said once, counted, and tried again") {
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  w.faults.writes_fail = true;
  w.steps(20);
  CHECK(w.target_mib(1) == 800);
  CHECK(w.why(1)["write_errors"].get<uint64_t>() > 5);
  CHECK(std::ranges::count_if(w.log, [](const std::string& line) {
          return line.find("out of quota") != std::string::npos;
        }) == 1);
  w.faults.writes_fail = false;
  w.steps(20);
  CHECK(w.target_mib(1) < 800);
  CHECK(w.why(1)["uncooperative"] == false);
}

TEST_CASE("a recycled number is another guest") {
  ArbiterWorld w;
  w.add_guest(1, 900, 480).used_mib = 400;
  w.steps(5);
  CHECK(w.why(1)["report"]["accepted"] == 4);  // the first may have been old
  w.kill(1);
  w.add_guest(1, 900, 480).has_agent = false;
  w.host.destroy_domain(1);
  w.host.add_domain(1, ArbiterWorld::uuid_of(9));
  w.host.write(ArbiterWorld::path(1, "name"), "other");
  w.host.write(ArbiterWorld::path(1, "memory/static-max"), "921600");
  w.host.write(ArbiterWorld::path(1, "memory/target"), "491520");
  w.host.set_memory(1, 480 * kMiB, 900 * kMiB);
  w.guests.erase(1);
  w.steps(2);
  CHECK(w.why(1)["name"] == "other");
  CHECK(w.why(1)["report"]["accepted"] == 0);
  CHECK(w.why(1)["report"]["state"] == "none");
}

TEST_CASE("a number that comes back after there was no guest at all is another guest") {
  ArbiterWorld w;
  w.add_guest(1, 900, 480).used_mib = 400;
  w.steps(5);
  w.kill(1);
  w.guests.erase(1);
  w.host.destroy_domain(1);
  w.steps(2);
  w.add_guest(1, 900, 480).used_mib = 400;
  w.steps(1);
  CHECK(w.why(1)["report"]["accepted"] == 0);  // the first may be old
}

}  // namespace tmem::arbiter
