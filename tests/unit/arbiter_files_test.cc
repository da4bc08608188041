// SPDX-License-Identifier: GPL-2.0-or-later
// The decision log's file, the search for rivals, and the thread.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "policy/decision_log.h"
#include "tests/unit/arbiter_world.h"
#include "tmemd/arbiter/arbiter_thread.h"
#include "tmemd/arbiter/rivals.h"

namespace tmem::arbiter {
namespace {

namespace fs = std::filesystem;

struct Directory {
  Directory() { REQUIRE(mkdtemp(path.data()) != nullptr); }
  ~Directory() { fs::remove_all(path); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  std::string path = "/tmp/tmem-arbiter-test-XXXXXX";
};

std::string contents(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

policy::ReplayResult replayed(const std::string& path) {
  std::ifstream log(path);
  const auto result = policy::replay(log);
  REQUIRE(result);
  CAPTURE(result->first_difference);
  CHECK(result->different == 0);
  return *result;
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

Settings logging_to(const std::string& path, uint64_t bytes_max) {
  Settings settings = ArbiterWorld::in_host_mode();
  settings.log_path = path;
  settings.log_bytes_max = bytes_max;
  return settings;
}

// The world with a log; its own constructor begins one without.
void begin_logging(ArbiterWorld& w, const Settings& settings) {
  w.begin(settings);
}

}  // namespace

TEST_CASE("the log is made with its folder, and replays") {
  Directory directory;
  const std::string path = directory.path + "/made/decisions.log";
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  w.add_guest(2, 900, 400).has_agent = false;
  begin_logging(w, logging_to(path, 16 * kMiB));
  w.steps(40);
  w.arbiter.reset();  // writes what is left
  const auto result = replayed(path);
  CHECK(result.ticks == 40);
  CHECK(result.lines == 80);
}

TEST_CASE("reports that differ only in what the log cannot show replay too") {
  Directory directory;
  const std::string path = directory.path + "/decisions.log";
  ArbiterWorld w;
  w.add_guest(1, 900, 800).has_agent = false;
  begin_logging(w, logging_to(path, 16 * kMiB));
  for (const std::string text : {"1 seq=\x01", "1 seq=\x02", "1 seq=\xff"}) {
    w.write_report(1, text);
    w.step();
  }
  w.arbiter.reset();
  CHECK(replayed(path).ticks == 3);
}

TEST_CASE("a full log is renamed, not sooner than every ten minutes, and both files replay") {
  Directory directory;
  const std::string path = directory.path + "/decisions.log";
  ArbiterWorld w;
  for (uint16_t id = 1; id <= 3; ++id) w.add_guest(id, 900, 300);
  begin_logging(w, logging_to(path, kLogBytesMin));
  uint64_t steps = 0;
  // The file's thread is waited for, so that the test does not depend on how fast it is.
  while (w.describe()["log"]["rotations"] != 2 && steps < 2'000) {
    w.step();
    ++steps;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  w.arbiter.reset();
  CHECK(steps >= 1'200);
  CHECK(steps < 1'300);
  CHECK(replayed(path + ".1").ticks >= 600);
  (void)replayed(path);
  CHECK(contents(path).starts_with("{\"start\""));
  CHECK(std::distance(fs::directory_iterator(directory.path), fs::directory_iterator()) == 2);
}

TEST_CASE("the log's disk is full: the policy learns on, and the log goes on when it can") {
  Directory directory;
  const std::string path = directory.path + "/decisions.log";
  REQUIRE(fs::create_directory(path));  // no file can be written there
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  begin_logging(w, logging_to(path, kLogBytesMin));
  const auto step = [&] {
    w.step();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  };
  for (int i = 0; i < 700; ++i) step();
  // One loop for all of it: its counts go on.
  CHECK(w.why(1)["report"]["accepted"] == 699);  // the first may have been old
  const uint64_t errors = w.describe()["log"]["write_errors"].get<uint64_t>();
  CHECK(errors >= 2);
  CHECK(errors <= 12);  // tried once a minute
  CHECK(w.describe()["log"]["lost_bytes"].get<uint64_t>() > 600'000);
  REQUIRE(fs::remove(path));
  for (int i = 0; i < 200; ++i) step();
  w.arbiter.reset();
  CHECK(replayed(path).ticks > 5);
}

TEST_CASE("a change of the strategy begins the log anew") {
  Directory directory;
  const std::string path = directory.path + "/decisions.log";
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  begin_logging(w, logging_to(path, 16 * kMiB));
  w.steps(5);
  Change change;
  change.strategy = "proxmox";
  REQUIRE(w.arbiter->change(change));
  w.steps(25);
  w.arbiter.reset();
  CHECK(replayed(path).ticks == 30);
  CHECK(contents(path).find("\"strategy\":\"proxmox\"") != std::string::npos);
}

TEST_CASE("what cannot be written is counted and told once, and tried again after a minute") {
  Directory directory;
  // A folder stands where the file should.
  const std::string path = directory.path + "/decisions.log";
  REQUIRE(fs::create_directory(path));
  std::mutex mutex;
  std::vector<std::string> said;
  auto file = DecisionFile::start(path, kLogBytesMin, [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    said.push_back(line);
  });
  REQUIRE(file);
  uint64_t now_ms = 1'000;
  CHECK((*file)->needs_start(now_ms));
  (*file)->start_anew("{\"start\": 1}\n", now_ms);
  (*file)->flush();
  for (; now_ms < 900'000; now_ms += 1'000) {
    CHECK_FALSE((*file)->needs_start(now_ms));
    (*file)->append("line\n", now_ms);
    (*file)->flush();
  }
  CHECK((*file)->counters().write_errors == 15);  // once a minute
  CHECK((*file)->counters().lost_bytes == 13 + 899 * 5);
  {
    const std::lock_guard lock(mutex);
    REQUIRE(said.size() == 1);
    CHECK(said[0].find(path) != std::string::npos);
  }
  // The disk is back: the log goes on, from a start.
  REQUIRE(fs::remove(path));
  now_ms += kRetryMs;
  CHECK_FALSE((*file)->needs_start(now_ms));  // it is being tried
  (*file)->flush();
  CHECK(contents(path).empty());
  CHECK((*file)->needs_start(now_ms));
  (*file)->start_anew("{\"start\": 2}\n", now_ms);
  (*file)->flush();
  CHECK_FALSE((*file)->needs_start(now_ms));
  CHECK(contents(path) == "{\"start\": 2}\n");
}

TEST_CASE("a file that ends within a line is renamed before a start") {
  Directory directory;
  const std::string path = directory.path + "/decisions.log";
  const bool whole = GENERATE(true, false);
  std::ofstream(path) << (whole ? "old\n" : "old\nhal");
  auto file = DecisionFile::start(path, kLogBytesMin, {});
  REQUIRE(file);
  (*file)->start_anew("start\n", 1'000);
  (*file)->flush();
  CHECK(contents(path) == (whole ? "old\nstart\n" : "start\n"));
  CHECK(contents(path + ".1") == (whole ? "" : "old\nhal"));
}

TEST_CASE("a disk that is too slow costs lines, not time") {
  Directory directory;
  const std::string path = directory.path + "/fifo";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);  // whoever opens it waits for a reader
  auto file = DecisionFile::start(path, uint64_t{1} << 40, {});
  REQUIRE(file);
  (*file)->start_anew("start\n", 0);
  const auto began = std::chrono::steady_clock::now();
  const std::string line(64 * kKiB, 'x');
  for (int i = 0; i < 256; ++i) (*file)->append(line, 0);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(10));
  CHECK((*file)->counters().lost_bytes > 8 * kMiB);
  CHECK_FALSE((*file)->needs_start(kBetweenStartsMs));  // not before the disk has taken the rest
  // The disk recovers: what is queued goes, and the file can end.
  const UniqueFd fifo(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  REQUIRE(fifo);
  std::atomic<bool> ended{false};
  std::thread reader([&] {
    std::vector<char> sink(64 * kKiB);
    while (!ended)
      if (read(fifo.get(), sink.data(), sink.size()) < 0)
        std::this_thread::sleep_for(std::chrono::microseconds(100));
  });
  file->reset();
  ended = true;
  reader.join();
}

TEST_CASE("squeezed and qmemman are found by process, socket and reservations") {
  Directory directory;
  RivalPlaces places{directory.path + "/proc", directory.path + "/qmemman.sock"};
  transport::xen::FakeHost host;
  transport::xen::FakeStore xenstore(host);
  CHECK(find_rival(xenstore, places).empty());  // not even /proc
  fs::create_directories(places.processes + "/12");
  fs::create_directories(places.processes + "/bus");
  std::ofstream(places.processes + "/bus/comm") << "squeezed\n";
  std::ofstream(places.processes + "/12/comm") << "bash\n";
  CHECK(find_rival(xenstore, places).empty());
  SECTION("a process") {
    std::ofstream(places.processes + "/12/comm") << "squeezed\n";
    CHECK(find_rival(xenstore, places) == "squeezed");
    std::ofstream(places.processes + "/12/comm") << "qmemmand\n";
    CHECK(find_rival(xenstore, places) == "qmemman");
  }
  SECTION("a socket") {
    std::ofstream(places.qmemman_socket) << "no socket";
    CHECK(find_rival(xenstore, places).empty());
    fs::remove(places.qmemman_socket);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    places.qmemman_socket.copy(address.sun_path, sizeof(address.sun_path) - 1);
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    CHECK(find_rival(xenstore, places) == "qmemman");
  }
  SECTION("reservations") {
    host.write("/squeezed/state/session/1", "1024");
    CHECK(find_rival(xenstore, places) == "squeezed");
  }
}

TEST_CASE("the thread turns by itself, at once after an urgent report, and ends") {
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  w.report(1);
  const SteadyClock clock;
  auto started = ArbiterThread::start(std::move(w.arbiter),
                                      std::make_unique<TaxCollector>(*w.store.store), clock);
  REQUIRE(started);
  ArbiterThread& thread = **started;
  const auto ticks = [&] { return thread.describe()["ticks"].get<uint64_t>(); };
  REQUIRE(eventually([&] { return ticks() >= 1; }));
  const auto accepted = [&] {
    return thread.why("1")->at("guests")[0]["report"]["accepted"].get<uint64_t>();
  };
  // The next turn of the period comes 650 ms after each of these reports.
  uint64_t fast = 0;
  for (int i = 0; i < 5; ++i) {
    const uint64_t before = accepted();
    const auto began = std::chrono::steady_clock::now();
    ++w.guests.at(1).urgent;
    w.report(1);
    REQUIRE(eventually([&] { return accepted() > before; }));
    if (std::chrono::steady_clock::now() - began < std::chrono::milliseconds(500)) ++fast;
    std::this_thread::sleep_for(std::chrono::milliseconds(350));
  }
  CHECK(fast >= 3);
  Change change;
  change.mode = Mode::kOff;
  const auto changed = thread.change(change);
  REQUIRE(changed);
  CHECK(changed->at("mode") == "off");
  CHECK(eventually([&] { return thread.describe()["effective_mode"] == "off"; }));
}

TEST_CASE("who asks why waits for no turn, however long that lasts") {
  ArbiterWorld w;
  w.add_guest(1, 900, 800);
  std::atomic<bool> hangs{false};
  std::atomic<bool> in_turn{false};
  std::atomic<bool> let_go{false};
  w.faults.before_read = [&] {
    if (!hangs) return;
    in_turn = true;
    while (!let_go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  const SteadyClock clock;
  auto started = ArbiterThread::start(std::move(w.arbiter), nullptr, clock);
  REQUIRE(started);
  ArbiterThread& thread = **started;
  REQUIRE(eventually([&] { return thread.describe()["ticks"] != 0; }));
  hangs = true;
  REQUIRE(eventually([&] { return in_turn.load(); }));
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    CHECK(thread.describe()["guests"].size() == 1);
    CHECK(thread.why("guest1"));
  }
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(2));
  Change change;
  change.mode = Mode::kOff;
  const auto refused = thread.change(change);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kConflict);
  let_go = true;
  CHECK(thread.change(change));
}

TEST_CASE("without guests of Xen the thread only taxes") {
  ArbiterWorld w;
  const SteadyClock clock;
  auto started =
      ArbiterThread::start(nullptr, std::make_unique<TaxCollector>(*w.store.store), clock);
  REQUIRE(started);
  CHECK_FALSE((*started)->has_guests());
}

TEST_CASE("the tax is collected once a minute, from clients and not from shared pools") {
  store::World w;
  const store::ClientRef streamer = w.add(1);
  const store::ClientRef reader = w.add(2);
  TaxCollector collector(*w.store);
  const auto weight = [&](const store::ClientRef& client) {
    return w.store->client_stats(*client).effective_weight;
  };
  collector.turn(w.clock.now_ms());
  for (uint32_t i = 0; i < 1'000; ++i) {
    REQUIRE(w.put(streamer, store::key(0, 1, i), store::noise(i)) == store::Status::kOk);
    REQUIRE(w.put(reader, store::key(0, 1, i), store::noise(i)) == store::Status::kOk);
    REQUIRE(w.get(reader, store::key(0, 1, i)) == store::Status::kOk);
  }
  collector.turn(w.clock.now_ms() + 59'000);
  CHECK(weight(streamer) == 100);
  collector.turn(w.clock.now_ms() + 60'000);
  CHECK(weight(streamer) == 10);
  CHECK(weight(reader) == 100);
}

}  // namespace tmem::arbiter
