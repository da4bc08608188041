// SPDX-License-Identifier: GPL-2.0-or-later
// tmem-guestd writes no more reports than tmemd takes: the agent and tmemd's watch, one clock.
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <deque>
#include <vector>

#include "libtmem/base/unique_fd.h"
#include "tests/unit/guestd_world.h"
#include "tests/unit/xen_host.h"
#include "tmemd/arbiter/census.h"
#include "tmemd/arbiter/report_watches.h"
#include "tools/tmem-guestd/agent.h"

namespace tmem {
namespace {

constexpr DomId kGuest{7};
constexpr uint32_t kRead = 2, kWrite = 11, kError = 16;

// The guest's half of a xenstored, that answers when it is told to.
class Xenstored {
 public:
  explicit Xenstored(const std::string& path)
      : listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof(address.sun_path));
    std::memcpy(address.sun_path, path.c_str(), path.size());
    REQUIRE(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(listen(listener_.get(), 4) == 0);
  }
  void accept_agent() { agent_ = UniqueFd(accept(listener_.get(), nullptr, nullptr)); }
  // Answers what was asked; how many reports were among it.
  size_t serve() {
    size_t reports = 0;
    std::array<uint32_t, 4> header{};
    while (recv(agent_.get(), header.data(), sizeof(header), MSG_DONTWAIT) == sizeof(header)) {
      std::string body(header[3], '\0');
      REQUIRE(recv(agent_.get(), body.data(), body.size(), MSG_WAITALL) ==
              static_cast<ssize_t>(body.size()));
      reports += header[0] == kWrite;
      const std::string answer = header[0] == kRead ? std::string("ENOENT\0", 7) : "OK";
      if (header[0] == kRead) header[0] = kError;
      header[3] = static_cast<uint32_t>(answer.size());
      REQUIRE(send(agent_.get(), header.data(), sizeof(header), 0) == sizeof(header));
      REQUIRE(send(agent_.get(), answer.data(), answer.size(), 0) ==
              static_cast<ssize_t>(answer.size()));
    }
    return reports;
  }

 private:
  UniqueFd listener_, agent_;
};

// tmemd's watch on the same clock.
class Watcher {
 public:
  Watcher() : platform_(host_.platform()), watches_(*platform_.store) {
    const std::array guests = {kGuest};
    watches_.follow(guests, 0);
    watches_.written(0);
  }
  void report(uint64_t now_ms) {
    host_.write(arbiter::report_path(kGuest), std::to_string(now_ms));
    watches_.written(now_ms);
  }
  uint64_t dropped() const { return watches_.counters(kGuest).dropped; }

 private:
  transport::xen::FakeHost host_;
  transport::xen::Platform platform_;
  arbiter::ReportWatches watches_;
};

struct World {
  World() : xenstored(root.path() + "/xenbus") {
    const ShrinkSettings no_shrinking{};
    REQUIRE(agent_start(&agent, folder.c_str(), socket.c_str(), 1000, &no_shrinking, 0) == 0);
    xenstored.accept_agent();
  }
  ~World() { wire_close(&agent.session.wire); }
  void pass_ms() {
    ++now_ms;
    if (now_ms < agent_deadline_ms(&agent)) return;
    agent_tick(&agent, now_ms);
    for (size_t n = xenstored.serve(); n > 0; --n) {
      reports.push_back(now_ms);
      watcher.report(now_ms);
    }
    agent_receive(&agent, now_ms);
    for (size_t n = xenstored.serve(); n > 0; --n) FAIL("a report that nothing was due for");
  }
  size_t most_in_a_second() const {
    std::deque<uint64_t> second;
    size_t most = 0;
    for (const uint64_t at : reports) {
      second.push_back(at);
      while (second.front() + 1000 <= at) second.pop_front();
      most = std::max(most, second.size());
    }
    return most;
  }
  FakeRoot root;
  const std::string folder = root.path(), socket = folder + "/xenbus";
  Xenstored xenstored;
  Watcher watcher;
  Agent agent{};
  uint64_t now_ms = 0;
  std::vector<uint64_t> reports;  // when
};

}  // namespace

TEST_CASE("guestd rate: alarm upon alarm, and tmemd goes on watching") {
  World world;
  while (world.now_ms < 60'000) {
    agent_alarm(&world.agent, world.now_ms);
    world.pass_ms();
  }
  CHECK(world.reports.size() > 60 * 3);
  CHECK(world.most_in_a_second() < arbiter::kReportEventsPerSecond);
  CHECK(world.watcher.dropped() == 0);
}

TEST_CASE("guestd rate: one alarm is reported at once, whatever was before") {
  World world;
  while (world.now_ms < 20'300) world.pass_ms();
  world.reports.clear();
  agent_alarm(&world.agent, world.now_ms);
  const uint64_t alarmed_ms = world.now_ms;
  while (world.reports.empty() && world.now_ms < alarmed_ms + 2000) world.pass_ms();
  REQUIRE(!world.reports.empty());
  CHECK(world.reports[0] <= alarmed_ms + 250);
}

TEST_CASE("guestd rate: other reasons to report do not add up with alarms") {
  World world;
  while (world.now_ms < 20'000) {
    if (world.now_ms % 70 == 0) agent_alarm(&world.agent, world.now_ms);
    if (world.now_ms % 50 == 0)
      world.agent.report_due = true;  // dom0 changes the mode all the time
    world.pass_ms();
  }
  CHECK(world.reports.size() > 20 * 3);
  CHECK(world.most_in_a_second() < arbiter::kReportEventsPerSecond);
  CHECK(world.watcher.dropped() == 0);
}

TEST_CASE("guestd rate: with nothing to report an alarm does not spin") {
  World world;
  while (world.now_ms < 5'000) world.pass_ms();
  world.root.write("meminfo", "MemTotal: 1 kB\n");
  agent_alarm(&world.agent, world.now_ms);
  size_t wakes = 0;
  for (const uint64_t end = world.now_ms + 10'000; world.now_ms < end; world.pass_ms())
    wakes += world.now_ms + 1 >= agent_deadline_ms(&world.agent);
  CHECK(wakes < 40);
}

}  // namespace tmem
