// SPDX-License-Identifier: GPL-2.0-or-later
// The whole path from a report to a target; and its record, which replays byte for byte.
#include <catch2/catch.hpp>
#include <sstream>

#include "libtmem/base/units.h"
#include "policy/decision_log.h"
#include "policy/loop.h"
#include "tests/model/rng.h"

namespace tmem::policy {
namespace {

constexpr const char* kOurs = "selfballoon+psi";

GuestInput guest(uint32_t id, uint64_t actual_mib) {
  GuestInput input;
  input.facts.id = GuestId{id};
  input.facts.settings.min_bytes = 64 * kMiB;
  input.facts.settings.max_bytes = 512 * kMiB;
  input.facts.actual_bytes = input.facts.target_bytes = actual_mib * kMiB;
  return input;
}

std::string report(uint64_t sequence, uint64_t total_mib, uint64_t available_mib,
                   uint64_t some_us) {
  Sample sample;
  sample.sequence = sequence;
  sample.uptime_ms = sequence * 1000;
  sample.total_bytes = total_mib * kMiB;
  sample.available_bytes = available_mib * kMiB;
  sample.pressure = Pressure{some_us, 0};
  return format_report(sample);
}

HostView host(uint64_t now_ms) {
  HostView view;
  view.now_ms = now_ms;
  view.total_bytes = 1024 * kMiB;
  view.head_room_bytes = 64 * kMiB;
  return view;
}

// A log of random guests: they come, go, lie and write rubbish.
std::string random_log(uint64_t seed) {
  model::Rng rng(seed);
  auto loop = Loop::create(kOurs, std::nullopt);
  REQUIRE(loop);
  std::string log = start_line(*loop);
  for (uint64_t tick = 1; tick < 200; ++tick) {
    std::vector<GuestInput> inputs;
    for (uint32_t id = 1; id < 5; ++id) {
      if (rng.below(50) == 0) continue;
      inputs.push_back(guest(id, 100 + rng.below(300)));
      inputs.back().facts.pool.persistent_gets = tick * rng.below(100);
      if (rng.below(3) != 0)
        inputs.back().report = report(tick, 100, rng.below(120), tick * rng.below(30'000));
      if (rng.below(20) == 0) inputs.back().report = "1 \xff\x01 rubbish \"";
      if (rng.below(20) == 0) inputs.back().report = std::string(2000, 'x');
    }
    log += tick_lines(loop->tick(host(tick * 1000), inputs));
  }
  return log;
}

ReplayResult replayed(const std::string& log) {
  std::istringstream in(log);
  const auto result = replay(in);
  INFO((result ? "" : result.error().message));
  REQUIRE(result);
  return *result;
}

std::string error_of(const std::string& log) {
  std::istringstream in(log);
  const auto result = replay(in);
  return result ? "" : result.error().message;
}

}  // namespace

TEST_CASE("policy loop: calm shrinks a guest, pressure gives it more than it had") {
  auto loop = Loop::create(kOurs, std::nullopt);
  REQUIRE(loop);
  GuestInput input = guest(1, 400);
  uint64_t now_ms = 0;
  for (uint64_t tick = 1; tick <= 60; ++tick) {
    input.report = report(tick, 380, 200, 0);
    const TickRecord& record = loop->tick(host(now_ms += 1000), {&input, 1});
    input.facts.target_bytes = input.facts.actual_bytes = record.guests[0].bounded.target_bytes;
  }
  const uint64_t shrunk = input.facts.actual_bytes;
  CHECK(shrunk < 360 * kMiB);
  CHECK(loop->last().guests[0].wish->reason == std::string("calm"));
  input.report = report(61, 380, 200, 400'000);
  const TickRecord& record = loop->tick(host(now_ms += 1000), {&input, 1});
  CHECK(record.guests[0].bounded.target_bytes > shrunk + shrunk / 12);
  CHECK(record.guests[0].wish->reason == std::string("pressure"));
}

TEST_CASE("policy loop: an unknown strategy is refused by name") {
  const auto loop = Loop::create("best", std::nullopt);
  REQUIRE_FALSE(loop);
  CHECK(loop.error().message.find(kOurs) != std::string::npos);
}

TEST_CASE("policy loop: a log replays byte for byte") {
  for (const uint64_t seed : {1, 2, 3}) {
    const ReplayResult result = replayed(random_log(seed));
    CHECK(result.different == 0);
    CHECK(result.first_difference.empty());
    CHECK(result.ticks == 199);
    CHECK(result.lines > 700);
  }
}

TEST_CASE("policy loop: a change in a log is found, a cut end is not held against it") {
  const std::string log = random_log(4);
  std::string changed = log;
  const size_t target = changed.find("\"target_bytes\":", changed.find("\"bound\":\"none\"", 9000));
  REQUIRE(target != std::string::npos);
  changed.insert(changed.find_last_of(',', changed.find("\"bound\"", target)), "0");
  CHECK(replayed(changed).different >= 1);
  const ReplayResult cut = replayed(log.substr(0, log.size() - 700));
  CHECK(cut.different == 0);
  CHECK(cut.ticks < 199);
}

TEST_CASE("policy loop: what is no log is refused with its line") {
  const std::string log = random_log(5);
  CHECK(error_of("rubbish\n").find("line 1") != std::string::npos);
  CHECK(error_of(log.substr(log.find('\n') + 1)).find("start line") != std::string::npos);
  CHECK(error_of(log + "{\"tick\": 5}\n").find("decision log") != std::string::npos);
  CHECK(error_of("{\"start\":{\"version\":9,\"strategy\":\"x\",\"knob\":1}}\n").find("version") !=
        std::string::npos);
  CHECK(error_of("{\"start\":{\"version\":1,\"strategy\":\"x\",\"knob\":1}}\n").find("strategy") !=
        std::string::npos);
}

}  // namespace tmem::policy
