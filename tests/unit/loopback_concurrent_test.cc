// SPDX-License-Identifier: GPL-2.0-or-later
// Four clients with four queues each, two threads a client, and a hostile fifth: every byte that a
// get returns is right.
#include <atomic>
#include <future>

#include "tests/model/rng.h"
#include "tests/unit/loopback_world.h"

namespace tmem {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr uint32_t kRounds = 150;
#else
constexpr uint32_t kRounds = 1'500;
#endif
constexpr uint32_t kKeys = 64;
constexpr uint32_t kBatch = 48;

using store::Page;

// One thread of a client. Its keys are its own (object word 2), so it knows what they hold.
class Worker {
 public:
  Worker(tmem_client* client, uint64_t number)
      : client_(client), number_(number), rng_(number + 1), version_(2 * kKeys, 0) {}

  // Empty, or what went wrong.
  std::string run() {
    for (uint32_t round = 0; round < kRounds && error_.empty(); ++round) {
      if (round % 4 == 0)
        single(round);
      else
        batch();
    }
    return error_;
  }

 private:
  Page content(uint32_t slot, uint64_t version) const {
    return version % 4 == 0 ? store::text(number_ * 1'000'000 + slot * 1'000 + version)
                            : store::noise(number_ * 1'000'000 + slot * 1'000 + version);
  }
  tmem_key key(uint32_t slot) const {
    return {slot / kKeys, slot % 16, {slot % kKeys / 16, 0, number_}};
  }
  void expect(bool good, const char* what) {
    if (!good && error_.empty()) error_ = what;
  }

  // Version 0: nothing is there. Ephemeral pages (slots below kKeys) may be gone.
  void check_get(uint32_t slot, int status, const Page& page) {
    const bool persistent = slot >= kKeys;
    if (status == TMEM_OK) {
      expect(version_[slot] != 0, "a get found a page that was never put");
      expect(page == content(slot, version_[slot]), "a get returned wrong bytes");
      if (!persistent) version_[slot] = 0;
    } else {
      expect(status == TMEM_MISS, "a get failed");
      expect(!persistent || version_[slot] == 0, "a persistent page is lost");
      version_[slot] = 0;
    }
  }

  void single(uint32_t round) {
    const uint32_t slot = rng_.below(2 * kKeys);
    const tmem_key where = key(slot);
    Page page = content(slot, round + 1);
    expect(tmem_put(client_, &where, page.data()) == TMEM_OK, "a put failed");
    version_[slot] = round + 1;
    page = {};
    const int status = tmem_get(client_, &where, page.data());
    check_get(slot, status, page);
    const int flushed = tmem_flush_page(client_, &where);
    expect(flushed == TMEM_OK || flushed == TMEM_MISS, "a flush failed");
    version_[slot] = 0;
  }

  // A batch of distinct keys: puts and gets mixed.
  void batch() {
    std::vector<Page> pages(kBatch);
    std::vector<tmem_batch_op> ops;
    const uint32_t first = rng_.below(2 * kKeys);
    const uint64_t version = 1 + rng_.below(1'000);
    for (uint32_t i = 0; i < kBatch; ++i) {
      const uint32_t slot = (first + i) % (2 * kKeys);
      const bool put = rng_.below(2) == 0;
      if (put) pages[i] = content(slot, version);
      ops.push_back(
          {static_cast<uint8_t>(put ? TMEM_OP_PUT : TMEM_OP_GET), key(slot), pages[i].data(), 0});
    }
    expect(tmem_batch(client_, ops.data(), ops.size()) == 0, "a batch failed");
    for (uint32_t i = 0; i < kBatch; ++i) {
      const uint32_t slot = (first + i) % (2 * kKeys);
      if (ops[i].op == TMEM_OP_GET) {
        check_get(slot, ops[i].status, pages[i]);
      } else {
        expect(ops[i].status == TMEM_OK, "a put of a batch failed");
        version_[slot] = version;
      }
    }
  }

  tmem_client* client_;
  const uint64_t number_;
  model::Rng rng_;
  std::vector<uint64_t> version_;
  std::string error_;
};

// Connects, scribbles, is thrown out, again. Returns how often.
uint32_t scribble(const std::string& socket, const std::atomic<bool>& stop) {
  uint32_t rounds = 0;
  for (; !stop; ++rounds) {
    tmem_connect_options options{};
    options.ring_order = 1;
    options.slots = 8;
    ConnectOutcome outcome = connect_to(socket, options);
    if (outcome.error != 0) break;
    // Puts into a pool that does not exist, then an end without goodbye.
    const Page page = store::noise(rounds);
    const tmem_key key{9, rounds, {rounds, 0, 0}};
    if (tmem_put(outcome.client.get(), &key, page.data()) != TMEM_NO_SUCH_POOL) break;
  }
  return rounds;
}

TEST_CASE("loopback: four clients, their threads and an intruder at once") {
  const DaemonWorld world;
  tmem_connect_options options{};
  options.queues = 4;
  options.ring_order = 2;
  options.slots = 32;
  std::vector<ClientPtr> clients;
  std::vector<std::future<std::string>> results;
  for (uint64_t i = 0; i < 4; ++i) clients.push_back(world.connect(options));
  std::atomic<bool> stop{false};
  auto intruder = std::async(std::launch::async, [&] { return scribble(world.socket(), stop); });
  for (uint64_t i = 0; i < 8; ++i)
    results.push_back(std::async(std::launch::async,
                                 [&clients, i] { return Worker(clients[i / 2].get(), i).run(); }));
  for (auto& result : results) CHECK(result.get().empty());
  stop = true;
  CHECK(intruder.get() > 0);
  // Pool operations drain all queues of a client while its other client's traffic is over.
  for (const ClientPtr& client : clients) {
    CHECK(tmem_pool_flush(client.get(), 1) == TMEM_OK);
    CHECK(tmem_pool_destroy(client.get(), 0) == TMEM_OK);
  }
  CHECK(world.counters().totals.statuses[TMEM_BAD_REQUEST] == 0);
  CHECK(world.daemon->store().check_invariants().value_or("hold") == "hold");
}

TEST_CASE("loopback: pool flushes among running operations of the same client") {
  const DaemonWorld world;
  tmem_connect_options options{};
  options.queues = 4;
  const ClientPtr client = world.connect(options);
  std::atomic<bool> stop{false};
  auto flusher = std::async(std::launch::async, [&] {
    uint32_t flushes = 0;
    while (!stop && tmem_pool_flush(client.get(), 0) == TMEM_OK) ++flushes;
    return flushes;
  });
  std::string error;
  for (uint32_t i = 0; i < kRounds && error.empty(); ++i) {
    const Page page = store::noise(i);
    Page back{};
    const tmem_key key{0, i, {i % 7, 0, 0}};
    if (tmem_put(client.get(), &key, page.data()) != TMEM_OK) error = "put";
    const int status = tmem_get(client.get(), &key, back.data());
    if (status != TMEM_OK && status != TMEM_MISS) error = "get";
    if (status == TMEM_OK && back != page) error = "bytes";
  }
  stop = true;
  CHECK(error.empty());
  CHECK(flusher.get() > 0);
}

TEST_CASE("loopback: the daemon ends while calls are waiting") {
  DaemonWorld world;
  std::vector<ClientPtr> clients;
  std::vector<std::future<int>> results;
  for (int i = 0; i < 4; ++i) clients.push_back(world.connect());
  std::atomic<int> running{0};
  for (const ClientPtr& client : clients)
    results.push_back(std::async(std::launch::async, [&running, raw = client.get()] {
      const Page page = store::noise(1);
      for (uint32_t i = 0;; ++i) {
        const tmem_key key{0, i % 100, {i % 7, 0, 0}};
        const int status = tmem_put(raw, &key, page.data());
        if (i == 10) ++running;
        if (status < 0) return status;
      }
    }));
  CHECK(eventually([&] { return running == 4; }));
  world.daemon.reset();
  for (auto& result : results) CHECK(result.get() == -ENOTCONN);
}

}  // namespace
}  // namespace tmem
