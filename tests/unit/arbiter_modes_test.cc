// SPDX-License-Identifier: GPL-2.0-or-later
// The modes of the arbiter, its settings while it runs, and what it takes from the host.
#include "tests/unit/arbiter_world.h"

namespace tmem::arbiter {
namespace {

Settings in_mode(Mode mode) {
  Settings settings;
  settings.mode = mode;
  return settings;
}

Change to_mode(Mode mode) {
  Change change;
  change.mode = mode;
  return change;
}

}  // namespace

TEST_CASE("off computes nothing, advise writes nothing, host writes") {
  ArbiterWorld w(in_mode(Mode::kOff));
  w.add_guest(1, 900, 800);
  w.steps(20);
  CHECK(w.describe()["ticks"] == 0);
  CHECK(w.host.watches() == 0);
  REQUIRE(w.arbiter->change(to_mode(Mode::kAdvise)));
  w.steps(20);
  CHECK(w.faults.writes == 0);
  CHECK(w.target_mib(1) == 800);
  CHECK(w.why(1)["planned_bytes"].get<uint64_t>() < 800 * kMiB);
  REQUIRE(w.arbiter->change(to_mode(Mode::kHost)));
  w.steps(20);
  CHECK(w.target_mib(1) < 800);
  const uint64_t left_mib = w.target_mib(1);
  REQUIRE(w.arbiter->change(to_mode(Mode::kOff)));
  w.steps(20);
  CHECK(w.target_mib(1) == left_mib);
}

TEST_CASE("a guest that is left alone while it grows keeps what it has by then") {
  ArbiterWorld w;
  w.add_guest(1, 1800, 400).balloon_mib_per_s = 20;
  w.guests.at(1).used_mib = 1700;
  w.steps(6);
  REQUIRE(w.target_mib(1) > w.actual_mib(1) + 100);
  SECTION("its own mode is off") {
    w.rules["guest1"].mode = GuestMode::kOff;
  }
  SECTION("the policy only advises") {
    REQUIRE(w.arbiter->change(to_mode(Mode::kAdvise)));
  }
  SECTION("the policy is off") {
    REQUIRE(w.arbiter->change(to_mode(Mode::kOff)));
  }
  w.step();
  const uint64_t left_mib = w.target_mib(1);
  CHECK(left_mib <= w.actual_mib(1));
  const uint64_t writes = w.faults.writes;
  w.steps(30);
  CHECK(w.target_mib(1) == left_mib);
  CHECK(w.faults.writes == writes);
}

TEST_CASE("where squeezed or qmemman runs, host is advise, and said") {
  ArbiterWorld w;
  w.rival = "squeezed";
  w.add_guest(1, 900, 800);
  w.steps(20);
  CHECK(w.faults.writes == 0);
  CHECK(w.describe()["mode"] == "host");
  CHECK(w.describe()["effective_mode"] == "advise");
  CHECK(w.describe()["rival"] == "squeezed");
  CHECK(w.logged("squeezed sets the guests' memory here"));
  w.rival.clear();
  w.steps(30);
  CHECK(w.describe()["effective_mode"] == "host");
  CHECK(w.logged("usual: the policy's mode is host"));
  CHECK_FALSE(w.logged("usual: the policy's mode is advise"));
  CHECK(w.target_mib(1) < 800);
  w.rival = "qmemman";
  w.steps(11);
  const uint64_t writes = w.faults.writes;
  w.steps(20);
  CHECK(w.faults.writes == writes);
}

TEST_CASE("room that is wanted, and claims, come out of the guests") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 1024);
  w.add_guest(1, 900, 480).used_mib = 480;
  w.add_guest(2, 900, 480).used_mib = 480;
  w.steps(10);
  const uint64_t before = w.held_by_guests();
  CHECK(before + 64 * kMiB <= w.host_bytes);
  w.head_room_bytes = 400 * kMiB;
  w.steps(10);
  CHECK(w.held_by_guests() + 400 * kMiB <= w.host_bytes + 2 * kMiB);
  w.head_room_bytes = 64 * kMiB;
  w.claims_bytes = 300 * kMiB;
  w.steps(20);
  CHECK(w.held_by_guests() + 364 * kMiB <= w.host_bytes + 2 * kMiB);
  w.claims_bytes = 0;
  w.steps(20);
  CHECK(w.held_by_guests() >= before - 40 * kMiB);
}

TEST_CASE("what the guests can give back is told, while they can be asked") {
  ArbiterWorld w;
  w.add_guest(1, 800, 500).used_mib = 500;
  w.add_guest(2, 800, 500).balloon_mib_per_s = 0;
  w.rules["guest3"].mode = GuestMode::kOff;
  w.add_guest(3, 800, 500);
  w.step();
  CHECK(w.surplus_bytes == 2 * 300 * kMiB);
  w.steps(40);  // the second turns out to be stuck
  CHECK(w.why(2)["uncooperative"] == true);
  CHECK(w.surplus_bytes == (w.actual_mib(1) - 200) * kMiB);
  REQUIRE(w.arbiter->change(to_mode(Mode::kAdvise)));
  w.step();
  CHECK(w.surplus_bytes == 0);
}

TEST_CASE("what a guest could not make free is not told") {
  ArbiterWorld w;
  SimulatedGuest& guest = w.add_guest(1, 800, 500);
  guest.used_mib = 340;
  guest.swap_free_mib = 20;
  w.steps(2);
  CHECK(w.surplus_bytes == (w.actual_mib(1) - 340 + 20 - 100) * kMiB);
}

TEST_CASE("persistent pages of the pool are not the guests' to have; ephemeral ones are") {
  ArbiterWorld w(ArbiterWorld::in_host_mode(), 1024);
  w.pool_held_bytes = 500 * kMiB;
  w.add_guest(1, 900, 300).used_mib = 900;
  w.steps(20);
  CHECK(w.target_mib(1) <= 1024 - 64 - 500);
  w.pool_freeable_bytes = 200 * kMiB;
  w.steps(5);
  CHECK(w.target_mib(1) > 1024 - 64 - 500);
  CHECK(w.target_mib(1) <= 1024 - 64 - 300);
}

TEST_CASE("memory that moves while the guests are looked at is counted once") {
  const auto [becomes_mib, pool_becomes_mib] =
      GENERATE(std::pair{500, 150}, std::pair{800, 50}, std::pair{850, 0}, std::pair{500, 50});
  CAPTURE(becomes_mib, pool_becomes_mib);
  ArbiterWorld w;
  w.pool_held_bytes = 50 * kMiB;
  w.add_guest(1, 900, 700).used_mib = 650;
  w.add_guest(2, 900, 700).used_mib = 650;
  w.steps(5);
  w.faults.before_read = [&w, becomes = becomes_mib, pool_becomes = pool_becomes_mib] {
    w.host.set_memory(1, static_cast<uint64_t>(becomes) * kMiB, 900 * kMiB);
    w.pool_held_bytes = static_cast<uint64_t>(pool_becomes) * kMiB;
  };
  w.store.clock.advance_ms(1'000);
  w.arbiter->turn(w.store.clock.now_ms());
  CHECK(w.describe()["host"]["total_bytes"] == w.host_bytes);
}

TEST_CASE("when xenstore does not answer nothing is taken for absent, and nothing is promised") {
  ArbiterWorld w;
  w.add_guest(1, 900, 500).used_mib = 500;
  w.steps(5);
  REQUIRE(w.surplus_bytes > 0);
  const uint64_t writes = w.faults.writes;
  w.faults.reads_fail = true;
  w.steps(15);  // the guest's description is read anew meanwhile
  CHECK(w.faults.writes == writes);
  CHECK(w.surplus_bytes == 0);
  CHECK(w.describe()["holding"] == true);
  CHECK(w.describe()["holding_reason"] == "xenstored has gone");
  CHECK(w.describe()["guests"].size() == 1);
  CHECK(w.logged("xenstored has gone"));
  w.faults.reads_fail = false;
  w.steps(2);
  CHECK(w.describe()["holding"] == false);
  CHECK(w.describe()["holding_reason"].is_null());
  CHECK(w.surplus_bytes > 0);
}

TEST_CASE("a guest is left alone whose mode is off") {
  ArbiterWorld w;
  w.rules["guest1"].mode = GuestMode::kOff;
  w.add_guest(1, 900, 800);
  w.steps(30);
  CHECK(w.target_mib(1) == 800);
  CHECK(w.why(1)["mode"] == "off");
}

TEST_CASE("settings of a guest can be changed while it runs, and forgotten") {
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  w.step();
  Change change;
  change.guest = "guest1";
  change.rule.min_bytes = 700 * kMiB;
  change.rule.weight = 7;
  REQUIRE(w.arbiter->change(change));
  w.steps(60);
  CHECK(w.target_mib(1) == 700);
  CHECK(w.why(1)["settings"]["weight"] == 7);
  CHECK(w.describe()["guests"][0]["changed"] == true);

  Change contradiction;
  contradiction.guest = "1";
  contradiction.rule.max_bytes = 600 * kMiB;
  const auto refused = w.arbiter->change(contradiction);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kMalformed);
  w.step();
  CHECK(w.why(1)["settings"]["max_bytes"] == 900 * kMiB);

  Change forget;
  forget.guest = "1";
  forget.reset = true;
  REQUIRE(w.arbiter->change(forget));
  w.steps(60);
  CHECK(w.target_mib(1) < 700);
  CHECK(w.describe()["guests"][0]["changed"] == false);

  // A refused change of a guest that had none leaves none.
  contradiction.rule.min_bytes = 700 * kMiB;
  CHECK_FALSE(w.arbiter->change(contradiction));
  CHECK(w.describe()["guests"][0]["changed"] == false);

  forget.guest = "nobody";
  CHECK(w.arbiter->change(forget).error().code == Errc::kNotFound);
}

TEST_CASE("the weight that is told is the one that is planned with") {
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  const store::ClientRef client = w.connect(1);
  store::ClientSettings settings;
  settings.weight = 7;
  REQUIRE(w.store.store->configure(*client, settings));
  w.step();
  CHECK(w.why(1)["settings"]["weight"] == 7);
  CHECK(w.describe()["guests"][0]["settings"]["weight"] == 7);
}

TEST_CASE("strategy and knob can be changed while it runs") {
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  w.step();
  Change change;
  change.strategy = "no such strategy";
  CHECK(w.arbiter->change(change).error().code == Errc::kNotFound);
  CHECK(w.describe()["strategy"] == "selfballoon+psi");
  change.strategy = "static";
  REQUIRE(w.arbiter->change(change));
  CHECK(w.describe()["strategy"] == "static");
  CHECK(w.describe()["host"]["total_bytes"] == 2048 * kMiB);  // as last looked at
  w.step();
  CHECK(w.describe()["strategy"] == "static");
  Change knob;
  knob.strategy = "selfballoon+psi";
  knob.knob = 0.01;
  REQUIRE(w.arbiter->change(knob));
  CHECK(w.describe()["knob"] == 0.01);
}

TEST_CASE("when Xen does not answer all targets are held, and that is said once") {
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  bool broken = false;
  World world{.xenstore = std::make_unique<FaultyStore>(w.host, w.faults),
              .domains = std::make_unique<transport::xen::FakeDomains>(w.host),
              .store = *w.store.store,
              .host = [&]() -> Result<HostShare> {
                if (broken) return fail(Errc::kOs, "Xen is silent");
                return w.share();
              },
              .on_surplus = {},
              .rival = {},
              .rule_for = [](const store::ClientIdentity&) { return GuestRule{}; },
              .pool_weight_for = [](const store::ClientIdentity&) { return 100u; },
              .log = [&](const std::string& line) { w.log.push_back(line); },
              .note = [&](const std::string& line) { w.log.push_back(line); }};
  Settings settings = ArbiterWorld::in_host_mode();
  settings.log_path.clear();
  w.arbiter = *Arbiter::create(settings, std::move(world));
  w.steps(5);
  broken = true;
  const uint64_t before_mib = w.target_mib(1);
  w.steps(10);
  CHECK(w.target_mib(1) == before_mib);
  CHECK(w.describe()["holding"] == true);
  CHECK(std::ranges::count_if(w.log, [](const std::string& line) {
          return line.find("Xen is silent") != std::string::npos;
        }) == 1);
  broken = false;
  w.guests.at(1).used_mib = 850;
  w.steps(10);
  CHECK(w.target_mib(1) > before_mib);
}

}  // namespace tmem::arbiter
