// SPDX-License-Identifier: GPL-2.0-or-later
// Room for guests from the toolstack's side: the wait for it, and the C calls of tmem/host.h.
#include "libtmem/src/room.h"

#include <catch2/catch.hpp>
#include <deque>

#include "tests/unit/control_world.h"
#include "tmem/host.h"

using namespace tmem;
using namespace tmem::test;
using control::RoomOutcome;

namespace {

json memory_with(const json& state, uint64_t free_bytes = 3 * kMiB,
                 uint64_t wanted_bytes = 5 * kMiB) {
  return {
      {"freeable_bytes", 9 * kMiB},
      {"host", {{"free_bytes", free_bytes}, {"claimed_bytes", kMiB}}},
      {"room", state.is_null() ? json() : json{{"state", state}, {"wanted_bytes", wanted_bytes}}}};
}

// A daemon that answers what it is told, one answer a request, the last one for ever; and time that
// passes in sleeps only.
struct FakeDaemon {
  ManualClock clock;
  std::deque<Result<json>> memories;
  std::vector<std::pair<std::string, json>> asked;
  std::vector<uint64_t> slept_ms;
  std::vector<uint64_t> progress_ms;

  control::RoomWaiter waiter() {
    return {[this](std::string_view verb, const json& args) { return answer(verb, args); }, clock,
            [this](uint64_t ms) {
              slept_ms.push_back(ms);
              clock.advance_ms(ms);
            },
            [this](const json&, uint64_t waited_ms) { progress_ms.push_back(waited_ms); }};
  }
  Result<json> answer(std::string_view verb, const json& args) {
    asked.emplace_back(verb, args);
    Result<json> next = memories.front();
    if (memories.size() > 1) memories.pop_front();
    if (!next || verb == "make-room") return next;
    return json{{"memory", *next}};
  }
  bool cancelled() const {
    return asked.back() == std::pair<std::string, json>{"make-room", {{"cancel", true}}};
  }
};

}  // namespace

TEST_CASE("room that is there is had without waiting, and held as long as asked") {
  FakeDaemon daemon;
  daemon.memories = {memory_with("ready")};
  const auto room = control::wait_for_room(daemon.waiter(), {5 * kMiB, 2000, 60'000});
  REQUIRE(room);
  CHECK(room->outcome == RoomOutcome::kReady);
  CHECK(room->problem.empty());
  CHECK(room->memory == memory_with("ready"));
  CHECK(daemon.asked == std::vector<std::pair<std::string, json>>{
                            {"make-room", {{"bytes", 5 * kMiB}, {"hold_ms", 60'000}}}});
  CHECK(daemon.slept_ms.empty());
}

TEST_CASE("one look finds the room that is there, and gives up the one that is not") {
  FakeDaemon daemon;
  daemon.memories = {memory_with("ready"), memory_with("making")};
  CHECK(control::wait_for_room(daemon.waiter(), {5 * kMiB, 0, 1})->outcome == RoomOutcome::kReady);
  CHECK(daemon.asked.size() == 1);
  CHECK(control::wait_for_room(daemon.waiter(), {5 * kMiB, 0, 1})->outcome == RoomOutcome::kLate);
  CHECK(daemon.cancelled());
  CHECK(daemon.slept_ms.empty());
}

TEST_CASE("room in the making is looked at ten times a second") {
  FakeDaemon daemon;
  daemon.memories = {memory_with("making"), memory_with("making"), memory_with("making"),
                     memory_with("ready", 7 * kMiB)};
  const auto room = control::wait_for_room(daemon.waiter(), {5 * kMiB, 2000, 1});
  REQUIRE(room);
  CHECK(room->outcome == RoomOutcome::kReady);
  CHECK(control::unclaimed_bytes(room->memory) == 6 * kMiB);
  CHECK(daemon.slept_ms == std::vector<uint64_t>{100, 100, 100});
  CHECK(daemon.progress_ms == std::vector<uint64_t>{0, 100, 200});
  CHECK(daemon.asked.back().first == "info");
}

TEST_CASE("room that does not come is given up at the time said") {
  FakeDaemon daemon;
  daemon.memories = {memory_with("making")};
  const auto room = control::wait_for_room(daemon.waiter(), {5 * kMiB, 1050, 1});
  REQUIRE(room);
  CHECK(room->outcome == RoomOutcome::kLate);
  CHECK(daemon.clock.now_ms() == 1 + 1050);
  CHECK(daemon.cancelled());
  CHECK(room->problem.find("5 MiB are not free after 1 s: 2 MiB are free, 9 MiB more") == 0);
}

TEST_CASE("room that cannot be had is given up at once") {
  FakeDaemon daemon;
  constexpr uint64_t kWanted = 5 * kMiB + 1;
  daemon.memories = {memory_with("making", 3 * kMiB, kWanted),
                     memory_with("impossible", 3 * kMiB, kWanted)};
  const auto room = control::wait_for_room(daemon.waiter(), {kWanted, 2000, 1});
  REQUIRE(room);
  CHECK(room->outcome == RoomOutcome::kImpossible);
  CHECK(daemon.slept_ms.size() == 1);
  CHECK(daemon.cancelled());
  CHECK(room->problem.find("6 MiB cannot be made free: 2 MiB are free") == 0);
}

TEST_CASE("somebody else takes the request back") {
  FakeDaemon daemon;
  daemon.memories = {memory_with("making"), memory_with(nullptr)};
  const auto room = control::wait_for_room(daemon.waiter(), {5 * kMiB, 2000, 1});
  REQUIRE(room);
  CHECK(room->outcome == RoomOutcome::kWithdrawn);
  CHECK_FALSE(daemon.cancelled());
}

TEST_CASE("somebody else asks for room: neither had nor taken back") {
  const char* const state = GENERATE("making", "ready", "impossible");
  const uint64_t timeout_ms = GENERATE(50, 100, 2000);
  FakeDaemon daemon;
  daemon.memories = {memory_with("making"), memory_with(state, 3 * kMiB, kMiB)};
  const auto room = control::wait_for_room(daemon.waiter(), {5 * kMiB, timeout_ms, 1});
  REQUIRE(room);
  CHECK(room->outcome == RoomOutcome::kWithdrawn);
  CHECK(daemon.slept_ms.size() == 1);
  CHECK_FALSE(daemon.cancelled());
  CHECK(room->problem.find("somebody else") != std::string::npos);
}

TEST_CASE("errors of the daemon end the wait") {
  FakeDaemon daemon;
  daemon.memories = {memory_with("making"), fail(Errc::kOs, "gone")};
  const auto room = control::wait_for_room(daemon.waiter(), {5 * kMiB, 2000, 1});
  REQUIRE_FALSE(room);
  CHECK(room.error().message == "gone");
}

TEST_CASE("an answer that is none of ours") {
  const json odd = GENERATE(json(), json::array(), json(7), json{{"room", 7}},
                            json{{"room", {{"state", 1}}}, {"host", "x"}},
                            json{{"host", {{"free_bytes", -1}}}, {"freeable_bytes", "1"}});
  FakeDaemon daemon;
  daemon.memories = {odd};
  const auto room = control::wait_for_room(daemon.waiter(), {5 * kMiB, 2000, 1});
  REQUIRE(room);
  CHECK(room->outcome == RoomOutcome::kWithdrawn);
  CHECK(control::unclaimed_bytes(odd) == 0);
  CHECK(control::giveable_bytes(odd) == 0);
}

namespace {

// A control socket whose hooks say what the test wants. Set the fields before start().
struct HostWorld : StoreWorld {
  TemporaryDirectory directory;
  std::string path = directory.file("control.sock");
  std::atomic<const char*> state{"ready"};  // null: nobody asked
  Result<void> room_outcome;
  bool on_xen = true;
  std::atomic<uint64_t> someone_wants_bytes{5 * kMiB};  // the wish that the daemon has
  std::atomic<uint64_t> wanted_bytes{0};                // the one it was told last
  std::atomic<uint64_t> hold_ms{0};
  std::atomic<int> cancelled{0};
  std::unique_ptr<control::ControlServer> server;

  void start() {
    control::Hooks hooks;
    hooks.memory = [this] {
      const char* const now = state;
      json memory = memory_with(now == nullptr ? json() : json(now), 3 * kMiB, someone_wants_bytes);
      if (!on_xen) memory["host"] = nullptr;
      return memory;
    };
    hooks.make_room = [this](uint64_t bytes, uint64_t ms) {
      wanted_bytes = bytes;
      hold_ms = ms;
      return room_outcome;
    };
    hooks.cancel_room = [this] { ++cancelled; };
    control::ServerOptions options;
    options.socket_path = path;
    server = control::ControlServer::create(options, *store, clock, hooks).value();
  }
};

}  // namespace

TEST_CASE("tmem_make_room: there is room") {
  HostWorld world;
  world.start();
  tmem_room room{1, 1, "left over"};
  CHECK(tmem_make_room(world.path.c_str(), 5 * kMiB, 1000, &room) == 0);
  CHECK(room.free_bytes == 2 * kMiB);
  CHECK(room.freeable_bytes == 9 * kMiB);
  CHECK(std::string(room.reason).empty());
  CHECK(world.wanted_bytes == 5 * kMiB);
  CHECK(world.hold_ms == 60'000);
  CHECK(tmem_make_room(world.path.c_str(), 5 * kMiB, 1000, nullptr) == 0);
  CHECK(world.cancelled == 0);
  CHECK(tmem_cancel_room(world.path.c_str()) == 0);
  CHECK(world.cancelled == 1);
}

TEST_CASE("tmem_make_room: each way in which there is none") {
  HostWorld world;
  tmem_room room{};
  const auto make = [&] { return tmem_make_room(world.path.c_str(), 5 * kMiB, 150, &room); };
  CHECK(make() == -ENOTCONN);
  CHECK(room.free_bytes == TMEM_UNKNOWN_BYTES);
  CHECK(std::string(room.reason).find("does not listen") != std::string::npos);

  world.start();
  world.state = "making";
  CHECK(make() == -ETIMEDOUT);
  CHECK(room.free_bytes == 2 * kMiB);
  CHECK(std::string(room.reason).find("9 MiB more") != std::string::npos);
  world.state = "impossible";
  CHECK(make() == -ENOSPC);
  CHECK(world.cancelled == 2);
  world.state = nullptr;
  CHECK(make() == -ECANCELED);
  world.state = "ready";
  world.someone_wants_bytes = kMiB;
  CHECK(make() == -ECANCELED);
  CHECK(world.cancelled == 2);
}

TEST_CASE("tmem_make_room: what the daemon refuses") {
  const auto [code, status] =
      GENERATE(std::pair{Errc::kNoSpace, -ENOSPC}, std::pair{Errc::kConflict, -EOPNOTSUPP},
               std::pair{Errc::kOs, -EIO});
  HostWorld world;
  world.room_outcome = fail(code, std::string(1000, 'x'));
  world.start();
  tmem_room room{};
  CHECK(tmem_make_room(world.path.c_str(), 5 * kMiB, 150, &room) == status);
  CHECK(std::string(room.reason) == std::string(sizeof(room.reason) - 1, 'x'));
}

TEST_CASE("tmem_make_room: arguments out of range") {
  HostWorld world;
  world.start();
  const char* const path = world.path.c_str();
  CHECK(tmem_make_room(path, kMiB - 1, 0, nullptr) == -EINVAL);
  CHECK(tmem_make_room(path, 64 * 1024 * kGiB + 1, 0, nullptr) == -EINVAL);
  CHECK(tmem_make_room(path, kMiB, 3'600'001, nullptr) == -EINVAL);
  CHECK(tmem_make_room(std::string(200, 'x').c_str(), kMiB, 0, nullptr) == -EINVAL);
  CHECK(tmem_freeable(path, nullptr) == -EINVAL);
  CHECK(world.wanted_bytes == 0);
}

TEST_CASE("tmem_freeable") {
  HostWorld world;
  world.on_xen = GENERATE(true, false);
  world.start();
  tmem_room room{};
  REQUIRE(tmem_freeable(world.path.c_str(), &room) == 0);
  CHECK(room.free_bytes == (world.on_xen ? 2 * kMiB : TMEM_UNKNOWN_BYTES));
  CHECK(room.freeable_bytes == world.store->stats().freeable_bytes);
  world.server->stop();
  CHECK(tmem_freeable(world.path.c_str(), &room) == -ENOTCONN);
}
