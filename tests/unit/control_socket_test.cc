// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket: framing, limits, timeouts, permissions, and peers that misbehave.
#include <grp.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/unit/control_world.h"

using namespace tmem;
using namespace tmem::test;

namespace {

constexpr uid_t kNobody = 65534;
constexpr const char* kVersion = "{\"id\":1,\"verb\":\"version\"}\n";

// Waits until `condition` holds; false after kPatienceMs.
bool eventually(const auto& condition) {
  const SteadyClock clock;
  const uint64_t deadline_ms = clock.now_ms() + kPatienceMs;
  while (!condition()) {
    if (clock.now_ms() > deadline_ms) return false;
    (void)poll(nullptr, 0, 5);
  }
  return true;
}

// Runs in a child that was forked before any thread started: becomes user and group `nobody` with
// one more group, waits for the socket, and exits with 0 if the request's answer begins as
// expected, else with 1.
int ask_as_nobody(const std::string& path, gid_t extra_group, const std::string& request,
                  const std::string& expected) {
  if (setgroups(1, &extra_group) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0) return 2;
  for (int tries = 0; tries < kPatienceMs / 10; ++tries) {
    RawPeer peer(path);
    if (peer.connected()) {
      if (!peer.write(request)) return 3;
      return peer.line().find(expected) != std::string::npos ? 0 : 1;
    }
    (void)poll(nullptr, 0, 10);
  }
  return 4;
}

// Opens so many connections and one more, which is refused; tells `full`, and waits for the end.
int crowd_as_nobody(const std::string& path, uint32_t connections, int full, int end) {
  if (setgroups(0, nullptr) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0) return 2;
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int tries = 0; peers.size() < connections; ++tries) {
    auto peer = std::make_unique<RawPeer>(path);
    if (peer->connected() && (!peer->write(kVersion) || !peer->answer().value("ok", false)))
      return 3;
    if (peer->connected()) peers.push_back(std::move(peer));
    if (tries == kPatienceMs / 10) return 3;
    if (peers.empty()) (void)poll(nullptr, 0, 10);  // the server is not there yet
  }
  if (RawPeer(path).line().find("no-space") == std::string::npos) return 4;
  char byte = 0;
  return write(full, &byte, 1) == 1 && read(end, &byte, 1) == 0 ? 0 : 5;
}

pid_t fork_nobody(const std::string& path, gid_t extra_group, const std::string& request,
                  const std::string& expected) {
  const pid_t child = fork();
  if (child == 0) _exit(ask_as_nobody(path, extra_group, request, expected));
  return child;
}

int exit_code_of(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("the client library calls verbs and tells refusals apart") {
  ServerWorld world;
  world.start();
  control::Client client = world.connect();
  CHECK(client.call("version", json::object()).value()["version"] == TMEM_VERSION);
  CHECK(client.call("list", {{"client", "x"}}).error().code == Errc::kNotFound);
  CHECK(client.call("list", {{"client", {}}}).error().code == Errc::kMalformed);
  CHECK(client.call("nonsense", json::object()).error().code == Errc::kMalformed);
  CHECK(client.call("destroy", {{"client", "alpha"}}).error().code == Errc::kConflict);
  CHECK_FALSE(client.lost());
  CHECK(world.disconnected == 0);
  CHECK(client.call("destroy", {{"client", "beta"}}));
  CHECK(world.disconnected == world.store->number(*world.beta));
  world.server->stop();
  CHECK(client.call("version", json::object()).error().code == Errc::kOs);
  CHECK(client.lost());
  CHECK(control::Client::connect({world.path, 100}).error().code == Errc::kNotFound);
}

TEST_CASE("a slow writer is served, byte by byte") {
  ServerWorld world;
  world.start();
  RawPeer peer(world.path);
  for (const char c : std::string_view(kVersion)) REQUIRE(peer.write({&c, 1}));
  CHECK(peer.answer()["ok"] == true);
}

TEST_CASE("many requests in one write are answered in order") {
  ServerWorld world;
  world.start();
  RawPeer peer(world.path);
  std::string requests;
  for (int i = 0; i < 500; ++i)
    requests += "{\"id\":" + std::to_string(i) + ",\"verb\":\"freeable\"}\n";
  REQUIRE(peer.write(requests));
  peer.end_writing();
  bool in_order = true;
  for (int i = 0; i < 500; ++i) in_order = in_order && peer.answer()["id"] == i;
  CHECK(in_order);
  CHECK(peer.line() == "<closed>");
}

TEST_CASE("a line as long as allowed is read, a longer one is refused") {
  ServerWorld world;
  world.start();
  RawPeer good(world.path);
  std::string request = kVersion;
  request.insert(0, world.options.line_bytes_max + 1 - request.size(), ' ');
  REQUIRE(good.write(request));
  CHECK(good.answer()["ok"] == true);

  RawPeer bad(world.path);
  (void)bad.write(std::string(world.options.line_bytes_max + 1, 'x'));
  const json answer = bad.answer();
  CHECK(answer["error"]["code"] == "malformed");
  CHECK(answer["error"]["message"].get<std::string>().find("65536") != std::string::npos);
  CHECK(bad.line() == "<closed>");
  CHECK(world.server->counters().requests_oversized == 1);
}

TEST_CASE("malformed lines do not end the connection") {
  ServerWorld world;
  world.start();
  RawPeer peer(world.path);
  REQUIRE(peer.write("garbage\n\n{\"verb\":\n"));
  for (int i = 0; i < 3; ++i) CHECK(peer.answer()["error"]["code"] == "malformed");
  REQUIRE(peer.write(kVersion));
  CHECK(peer.answer()["ok"] == true);
  CHECK(world.server->counters().requests_malformed == 3);
}

TEST_CASE("a truncated request is dropped and counted, the one before it answered") {
  ServerWorld world;
  world.start();
  RawPeer peer(world.path);
  REQUIRE(peer.write(std::string(kVersion) + "{\"verb\":\"fre"));
  peer.end_writing();
  CHECK(peer.answer()["ok"] == true);
  CHECK(peer.line() == "<closed>");
  CHECK(world.server->counters().requests_malformed == 1);
}

TEST_CASE("half a request and idleness have their time") {
  ServerWorld world;
  world.start();
  RawPeer half(world.path);
  RawPeer idle(world.path);
  REQUIRE(idle.write(kVersion));
  CHECK(idle.answer()["ok"] == true);
  REQUIRE(half.write("{"));
  // A round trip after it, so that the server has seen the half.
  RawPeer witness(world.path);
  REQUIRE(witness.write(kVersion));
  CHECK(witness.answer()["ok"] == true);
  CHECK(eventually([&] {
    world.clock.advance_ms(1000);
    return world.server->counters().connections_timed_out == 1;
  }));
  CHECK(half.line() == "<closed>");
  REQUIRE(idle.write(kVersion));
  CHECK(idle.answer()["ok"] == true);
  CHECK(eventually([&] {
    world.clock.advance_ms(world.options.idle_timeout_ms + 1);
    return world.server->counters().connections_timed_out == 3;
  }));
  CHECK(idle.line() == "<closed>");
  CHECK(witness.line() == "<closed>");
}

TEST_CASE("too many connections: one more is told so, and may come back") {
  ServerWorld world;
  world.options.connections_max = 4;
  world.start();
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 4; ++i) {
    peers.push_back(std::make_unique<RawPeer>(world.path));
    REQUIRE(peers.back()->write(kVersion));
    REQUIRE(peers.back()->answer()["ok"] == true);
  }
  RawPeer fifth(world.path);
  CHECK(fifth.answer()["error"]["code"] == "no-space");
  CHECK(fifth.line() == "<closed>");
  CHECK(world.server->counters().connections_refused == 1);
  auto refused = control::Client::connect({world.path, kPatienceMs});
  REQUIRE(refused);
  const auto answer = refused->call("version", json::object());
  CHECK(answer.error().code == Errc::kNoSpace);
  CHECK(refused->lost());
  peers.pop_back();
  CHECK(eventually([&] {
    RawPeer again(world.path);
    return again.write(kVersion) && again.answer()["ok"] == true;
  }));
}

TEST_CASE("a peer that does not read holds up nobody and is dropped") {
  ServerWorld world;
  world.start();
  RawPeer deaf(world.path);
  const std::string request = "{\"verb\":\"stats\"}\n";
  // More answers than the socket holds; then the server stops reading, and this blocks.
  CHECK(eventually([&] { return deaf.write_until_blocked(request, 1000) == 0; }));
  control::Client other = world.connect();
  for (int i = 0; i < 20; ++i) CHECK(other.call("list", json::object()));
  CHECK(eventually([&] {
    world.clock.advance_ms(1000);
    return world.server->counters().connections_timed_out == 1;
  }));
  CHECK(other.call("list", json::object()));
}

TEST_CASE("peers that leave in the middle do no harm") {
  ServerWorld world;
  world.start();
  for (int i = 0; i < 200; ++i) {
    RawPeer peer(world.path);
    (void)peer.write(i % 2 == 0 ? "{\"verb\":\"stats\"}\n{\"verb\":\"stats\"}\n" : "{\"ver");
  }
  CHECK(world.connect().call("version", json::object()));
}

TEST_CASE("another user may read, not change; a member of the group may") {
  if (geteuid() != 0) {
    WARN("not root: cannot become another user");
    return;
  }
  ServerWorld world;
  const group* const games = getgrnam("games");
  REQUIRE(games != nullptr);
  const gid_t games_gid = games->gr_gid;
  const std::string set = "{\"verb\":\"set\",\"args\":{\"client\":\"beta\",\"weight\":5}}\n";
  // Forked before the server's thread exists.
  const pid_t reader = fork_nobody(world.path, 65534, kVersion, "\"ok\":true");
  const pid_t changer = fork_nobody(world.path, 65534, set, "\"denied\"");
  world.start();
  CHECK(exit_code_of(reader) == 0);
  CHECK(exit_code_of(changer) == 0);
  CHECK(world.store->settings(*world.beta).weight == 100);
  CHECK(world.server->counters().requests_unauthorised == 1);
  world.server->stop();

  const pid_t member = fork_nobody(world.path, games_gid, set, "\"ok\":true");
  world.options.group = "games";
  world.options.mode = 0660;
  world.start();
  CHECK(exit_code_of(member) == 0);
  CHECK(world.store->settings(*world.beta).weight == 5);
}

TEST_CASE("users who may only read cannot take all connections") {
  if (geteuid() != 0) {
    WARN("not root: cannot become another user");
    return;
  }
  ServerWorld world;
  world.options.connections_max = 4;
  world.options.readers_max = 3;
  std::array<int, 2> full{};
  std::array<int, 2> end{};
  REQUIRE((pipe(full.data()) == 0 && pipe(end.data()) == 0));
  // Forked before the server's thread exists.
  const pid_t child = fork();
  if (child == 0) {
    (void)close(end[1]);
    _exit(crowd_as_nobody(world.path, world.options.readers_max, full[1], end[0]));
  }
  (void)close(full[1]);
  world.start();
  char byte = 0;
  CHECK(read(full[0], &byte, 1) == 1);
  {
    RawPeer root(world.path);
    CHECK(root.write(kVersion));
    CHECK(root.answer()["ok"] == true);
  }
  (void)close(end[1]);
  CHECK(exit_code_of(child) == 0);
  CHECK(world.server->counters().connections_refused == 1);
}

TEST_CASE("the socket's name: left-overs are replaced, others respected, ours removed") {
  ServerWorld world;
  {
    std::ofstream(world.path) << "a file";
    const auto refused =
        control::ControlServer::create(world.options, *world.store, world.clock, {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::kConflict);
    (void)unlink(world.path.c_str());
  }
  {
    // A socket nobody listens on, as a killed daemon leaves it.
    const UniqueFd stale(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    world.path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    REQUIRE(bind(stale.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  }
  world.start();
  const auto second = control::ControlServer::create(world.options, *world.store, world.clock, {});
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::kConflict);
  CHECK(world.connect().call("version", json::object()));
  world.server->stop();
  world.server->stop();
  CHECK(access(world.path.c_str(), F_OK) != 0);

  world.options.group = "no-such-group-here";
  const auto no_group =
      control::ControlServer::create(world.options, *world.store, world.clock, {});
  CHECK(no_group.error().code == Errc::kNotFound);
  world.options.group.clear();
  world.options.socket_path = std::string(200, 'x');
  CHECK(control::ControlServer::create(world.options, *world.store, world.clock, {}).error().code ==
        Errc::kMalformed);
}
