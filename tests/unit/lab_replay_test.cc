// SPDX-License-Identifier: GPL-2.0-or-later
// A decision log runs again with the same decisions; a changed one is found out.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "libtmem/base/units.h"
#include "policy/decision_log.h"
#include "tools/lab/replay.h"

namespace tmem::lab {
namespace {

// A guest that has twice what it uses, for twenty ticks.
std::string make_log() {
  auto loop = policy::Loop::create("static", 0.5);
  REQUIRE(loop);
  std::string log = policy::start_line(*loop);
  policy::HostView host;
  host.total_bytes = 4 * kGiB;
  host.free_bytes = 3 * kGiB;
  policy::GuestInput guest;
  guest.facts.id = policy::GuestId{1};
  guest.facts.settings = {128 * kMiB, kGiB, 256, 0};
  guest.facts.actual_bytes = kGiB;
  guest.facts.target_bytes = kGiB;
  for (uint64_t i = 1; i <= 20; ++i) {
    host.now_ms = i * 1000;
    policy::Sample sample;
    sample.sequence = i;
    sample.uptime_ms = host.now_ms;
    sample.total_bytes = guest.facts.actual_bytes;
    guest.report = policy::format_report(sample);
    const policy::TickRecord& record = loop->tick(host, {&guest, 1});
    guest.facts.target_bytes = record.guests[0].bounded.target_bytes;
    guest.facts.actual_bytes = guest.facts.target_bytes;
    log += policy::tick_lines(record);
  }
  return log;
}

struct TemporaryFile {
  std::string path;
  explicit TemporaryFile(const std::string& text)
      : path(std::filesystem::temp_directory_path() /
             ("tmem-replay-" + std::to_string(::getpid()) + ".log")) {
    std::ofstream(path) << text;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

}  // namespace

TEST_CASE("replay: the same inputs, the same decisions") {
  const TemporaryFile file(make_log());
  const auto result = run_replay(file.path);
  REQUIRE(result);
  CHECK(result->find("20 ticks, ") == 0);
}

TEST_CASE("replay: a decision that was changed is found") {
  std::string log = make_log();
  const std::string target = "\"target_bytes\":536870912";
  const size_t at = log.rfind(target);
  REQUIRE(at != std::string::npos);
  log.replace(at, target.size(), "\"target_bytes\":536870911");
  const TemporaryFile file(log);
  const auto result = run_replay(file.path);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::kConflict);
}

TEST_CASE("replay: what is no log is refused") {
  const TemporaryFile file("nonsense\n");
  REQUIRE_FALSE(run_replay(file.path));
  REQUIRE_FALSE(run_replay("/nonexistent"));
}

}  // namespace tmem::lab
