// SPDX-License-Identifier: GPL-2.0-or-later
// The loopback transport and libtmem against a whole daemon: what a good client gets.
#include <cerrno>

#include "tests/unit/loopback_world.h"

namespace tmem {
namespace {

using store::noise;
using store::Page;

TEST_CASE("loopback: every call of the C API does what tmem.h says") {
  const DaemonWorld world;
  const ClientPtr client = world.connect();
  CHECK(tmem_client_number(client.get()) > 0);
  const auto in_store = world.daemon->store().find_client(tmem_client_number(client.get()));
  REQUIRE(in_store);
  CHECK(tmem_store_epoch(client.get()) == store::Store::epoch(*in_store));

  const Page first = noise(1);
  Page back{};
  const tmem_key ephemeral{0, 7, {1, 2, 3}};
  CHECK(tmem_put(client.get(), &ephemeral, first.data()) == TMEM_OK);
  CHECK(tmem_get(client.get(), &ephemeral, back.data()) == TMEM_OK);
  CHECK(back == first);
  CHECK(tmem_get(client.get(), &ephemeral, back.data()) == TMEM_MISS);

  const tmem_key persistent{1, 7, {1, 2, 3}};
  CHECK(tmem_put(client.get(), &persistent, first.data()) == TMEM_OK);
  CHECK(tmem_get(client.get(), &persistent, back.data()) == TMEM_OK);
  CHECK(tmem_get(client.get(), &persistent, back.data()) == TMEM_OK);
  CHECK(tmem_flush_page(client.get(), &persistent) == TMEM_OK);
  CHECK(tmem_flush_page(client.get(), &persistent) == TMEM_MISS);
  CHECK(tmem_put(client.get(), &persistent, first.data()) == TMEM_OK);
  CHECK(tmem_flush_object(client.get(), &persistent) == TMEM_OK);
  CHECK(tmem_get(client.get(), &persistent, back.data()) == TMEM_MISS);
  CHECK(tmem_put(client.get(), &persistent, first.data()) == TMEM_OK);
  CHECK(tmem_pool_flush(client.get(), 1) == TMEM_OK);
  CHECK(tmem_get(client.get(), &persistent, back.data()) == TMEM_MISS);

  CHECK(tmem_pool_create(client.get(), 1, TMEM_POOL_PERSISTENT, nullptr) == TMEM_OK);
  CHECK(tmem_pool_create(client.get(), 1, 0, nullptr) == TMEM_REFUSED);
  const std::array<uint8_t, 16> uuid{1};
  CHECK(tmem_pool_create(client.get(), 2, TMEM_POOL_SHARED, uuid.data()) == TMEM_REFUSED);
  CHECK(tmem_pool_destroy(client.get(), 1) == TMEM_OK);
  CHECK(tmem_pool_destroy(client.get(), 1) == TMEM_NO_SUCH_POOL);
  CHECK(tmem_put(client.get(), &persistent, first.data()) == TMEM_NO_SUCH_POOL);
}

TEST_CASE("loopback: arguments out of range are refused without asking the daemon") {
  const DaemonWorld world;
  const ClientPtr client = world.connect();
  const Page page = noise(1);
  const tmem_key bad_pool{TMEM_POOLS_MAX, 0, {0, 0, 0}};
  const tmem_key good{0, 0, {0, 0, 0}};
  CHECK(tmem_put(client.get(), &bad_pool, page.data()) == -EINVAL);
  CHECK(tmem_put(client.get(), &good, nullptr) == -EINVAL);
  CHECK(tmem_put(client.get(), nullptr, page.data()) == -EINVAL);
  CHECK(tmem_put(nullptr, &good, page.data()) == -EINVAL);
  CHECK(tmem_pool_create(client.get(), TMEM_POOLS_MAX, 0, nullptr) == -EINVAL);
  CHECK(tmem_pool_create(client.get(), 3, 4, nullptr) == -EINVAL);
  CHECK(tmem_pool_create(client.get(), 3, 3, nullptr) == -EINVAL);
  CHECK(tmem_pool_create(client.get(), 3, TMEM_POOL_SHARED, nullptr) == -EINVAL);
  CHECK(tmem_batch(client.get(), nullptr, 1) == -EINVAL);
  CHECK(tmem_batch(client.get(), nullptr, 0) == 0);
  CHECK(tmem_connect(nullptr, nullptr, nullptr, 0) == -EINVAL);
  tmem_disconnect(nullptr);
  CHECK(std::string(tmem_status_name(TMEM_NO_SPACE)) == "no-space");
  CHECK(std::string(tmem_status_name(-ENOTCONN)) == std::strerror(ENOTCONN));
  CHECK(tmem_status_name(12345) != nullptr);
  CHECK(tmem_status_name(INT32_MIN + 1) != nullptr);
  CHECK(world.counters().totals.statuses[TMEM_BAD_REQUEST] == 0);
}

TEST_CASE("loopback: a batch larger than ring and slots keeps the order of each key") {
  const DaemonWorld world;
  tmem_connect_options options{};
  options.queues = 3;
  options.ring_order = 1;
  options.slots = 8;
  const ClientPtr client = world.connect(options);
  constexpr uint32_t kKeys = 100;
  std::vector<Page> in;
  std::vector<Page> out(kKeys);
  std::vector<tmem_batch_op> ops;
  for (uint32_t i = 0; i < 2 * kKeys; ++i) in.push_back(noise(i));
  // Put, put another, get: the get sees the second.
  for (uint32_t i = 0; i < kKeys; ++i) {
    const tmem_key key{i % 2, i, {i / 4, 0, 0}};
    ops.push_back({TMEM_OP_PUT, key, in[i].data(), 99});
    ops.push_back({TMEM_OP_PUT, key, in[kKeys + i].data(), 99});
    ops.push_back({TMEM_OP_GET, key, out[i].data(), 99});
  }
  ops.push_back({TMEM_OP_POOL_FLUSH, {0, 0, {0, 0, 0}}, nullptr, 99});  // not for batches
  CHECK(tmem_batch(client.get(), ops.data(), ops.size()) == -EINVAL);
  CHECK(ops.back().status == -EINVAL);
  ops.pop_back();
  CHECK(tmem_batch(client.get(), ops.data(), ops.size()) == 0);
  for (uint32_t i = 0; i < kKeys; ++i) {
    for (uint32_t k = 0; k < 3; ++k) REQUIRE(ops[3 * i + k].status == TMEM_OK);
    REQUIRE(out[i] == in[kKeys + i]);
  }
}

TEST_CASE(
    "loopback: the daemon refuses to stop over persistent pages, and a client learns its end") {
  DaemonWorld world;
  const ClientPtr client = world.connect();
  CHECK(world.daemon->may_stop());
  const Page page = noise(1);
  const tmem_key key{1, 7, {1, 2, 3}};
  REQUIRE(tmem_put(client.get(), &key, page.data()) == TMEM_OK);
  const auto refused = world.daemon->begin_stop();
  REQUIRE_FALSE(refused);
  const tmem_key other{1, 7, {4, 5, 6}};
  CHECK(tmem_put(client.get(), &other, page.data()) == TMEM_OK);  // it goes on
  CHECK(refused.error().code == Errc::kConflict);
  CHECK(refused.error().message.find("--force") != std::string::npos);
  world.daemon.reset();
  CHECK(tmem_put(client.get(), &key, page.data()) == -ENOTCONN);
  CHECK(tmem_pool_flush(client.get(), 1) == -ENOTCONN);
  tmem_batch_op op{TMEM_OP_GET, key, nullptr, 0};
  Page back{};
  op.page = back.data();
  CHECK(tmem_batch(client.get(), &op, 1) == -ENOTCONN);
  CHECK(op.status == -ENOTCONN);
  CHECK(connect_to(world.socket()).error == -ENOENT);
}

TEST_CASE("loopback: a daemon that is about to stop takes no page that it would lose") {
  const DaemonWorld world;
  const ClientPtr client = world.connect();
  const Page page = noise(1);
  const tmem_key key{1, 7, {1, 2, 3}};
  REQUIRE(world.daemon->begin_stop());
  CHECK(tmem_put(client.get(), &key, page.data()) == TMEM_FROZEN);
  CHECK(world.daemon->may_stop());
}

TEST_CASE("loopback: a disconnected client's pages are gone and its uuid is free again") {
  const DaemonWorld world;
  tmem_connect_options options{};
  options.uuid[3] = 3;
  options.name = "one";
  ClientPtr client = world.connect(options);
  const Page page = noise(1);
  const tmem_key key{1, 7, {1, 2, 3}};
  REQUIRE(tmem_put(client.get(), &key, page.data()) == TMEM_OK);
  CHECK(connect_to(world.socket(), options).error == -EEXIST);
  client.reset();
  REQUIRE(world.clients_become(0));
  CHECK(world.daemon->may_stop());
  client = world.connect(options);
  Page back{};
  CHECK(tmem_get(client.get(), &key, back.data()) == TMEM_MISS);
}

TEST_CASE("loopback: the administrator's disconnect ends one client only") {
  const DaemonWorld world;
  const ClientPtr one = world.connect();
  const ClientPtr two = world.connect();
  CHECK_FALSE(world.daemon->loopback().disconnect(12345));
  CHECK(world.daemon->loopback().disconnect(tmem_client_number(one.get())));
  REQUIRE(world.clients_become(1));
  const Page page = noise(1);
  const tmem_key key{1, 7, {1, 2, 3}};
  CHECK(tmem_put(one.get(), &key, page.data()) == -ENOTCONN);
  CHECK(still_served(two.get(), 5));
  CHECK(world.counters().administrator == 1);
}

TEST_CASE("loopback: connections over the limit are turned away, with a reason") {
  control::Config config;
  config.loopback.clients_max = 2;
  const DaemonWorld world(config);
  const ClientPtr one = world.connect();
  ClientPtr two = world.connect();
  const ConnectOutcome third = connect_to(world.socket());
  CHECK(third.error < 0);
  CHECK_FALSE(third.reason.empty());
  CHECK(world.counters().turned_away == 1);
  two.reset();
  REQUIRE(world.clients_become(1));
  CHECK(connect_to(world.socket()).error == 0);
}

TEST_CASE("loopback: options out of range are refused by the daemon, with a reason") {
  const DaemonWorld world;
  tmem_connect_options options{};
  options.slots = 7;
  CHECK(connect_to(world.socket(), options).error == -EINVAL);
  options = {};
  options.ring_order = 7;
  CHECK(connect_to(world.socket(), options).error == -EINVAL);
  options = {};
  options.queues = TMEM_QUEUES_MAX + 1;
  CHECK(connect_to(world.socket(), options).error == -EINVAL);
  options = {};
  options.name = "two words";
  CHECK(connect_to(world.socket(), options).error == -EINVAL);
  options = {};
  options.queues = TMEM_QUEUES_MAX;
  options.slots = TMEM_SLOTS_MAX;
  const ConnectOutcome too_large = connect_to(world.socket(), options);
  CHECK(too_large.error == -ENOMEM);
  CHECK(too_large.reason.find("fewer") != std::string::npos);
  CHECK(world.counters().handshakes_refused == 5);
}

TEST_CASE("loopback: a socket that nobody listens on is replaced, a living daemon's is not") {
  DaemonWorld world;
  control::Config second = world.config;
  second.control.socket_path = world.dir.file("other.sock");
  const auto refused = Daemon::start(second, world.clock, [](LogKind, const std::string&) {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kConflict);
  CHECK(still_served(world.connect().get(), 1));

  world.daemon.reset();
  {  // What a killed daemon leaves.
    const UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, world.socket().data(), world.socket().size());
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
            0);
  }
  world.start();
  CHECK(still_served(world.connect().get(), 1));
}

TEST_CASE("loopback: a hundred idle queues cost no CPU") {
  control::Config config;
  config.loopback.clients_max = 100;
  const DaemonWorld world(config);
  tmem_connect_options options{};
  options.queues = 4;
  std::vector<ClientPtr> clients;
  for (uint64_t i = 0; i < 25; ++i) {
    clients.push_back(world.connect(options));
    REQUIRE(still_served(clients.back().get(), i));
  }
  // Let them fall asleep: no worker burns time any more when its CPU time stands still.
  uint64_t before_ns = 0;
  REQUIRE(eventually([&] {
    const uint64_t now_ns = world.daemon->workers().cpu_ns();
    const bool still = now_ns == before_ns;
    before_ns = now_ns;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return still;
  }));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const uint64_t used_ns = world.daemon->workers().cpu_ns() - before_ns;
  CHECK(used_ns < 1'000'000);  // 0.1 % of a second
}

}  // namespace
}  // namespace tmem
