// SPDX-License-Identifier: GPL-2.0-or-later
// A store with known pages behind a real control socket, without transport: what the CLI tests and
// examples ask. Ends when `tmem shutdown` says so, or its standard input closes.
//
//   control_host SOCKET [--busy] [--memfd]
//
// As guests, alpha evacuates half a second after it was asked, beta cannot, and gamma is silent.
// Client "alpha": 1000 ephemeral pages, 300 of them got again (hits), 100 gets that miss, 50
// persistent pages. Client "beta": 200 ephemeral pages and a shared pool of 20. "gamma": nothing.
// --busy: beta puts and gets all the time.
// The host's memory: of 1024 MiB 120 are free and 20 of these claimed; the pool could give back 300
// more, at 100 MiB a second. Room of over 500 MiB is refused at once, of over 400 found impossible.
// --memfd: the pool's memory is not the host's, and there are no guests of Xen.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <thread>

#include "libtmem/base/clock.h"
#include "tests/cli/policy_host.h"
#include "tmem/text.hpp"
#include "tmemd/control/server.h"
#include "tmemd/memory/memfd.h"

namespace {

using namespace tmem;
using store::Key;
using store::Kind;
using store::Status;

using Page = std::array<std::byte, kPageBytes>;

// Pages that are neither same-filled nor equal to each other.
Page page_of(uint64_t number) {
  Page page{};
  uint64_t state = number * 0x9e3779b97f4a7c15 + 1;
  for (size_t i = 0; i < kPageBytes; i += sizeof(state)) {
    state = state * 6364136223846793005 + 1442695040888963407;
    std::memcpy(&page[i], &state, sizeof(state));
  }
  return page;
}

Key key_of(uint32_t pool, uint32_t index) {
  return {PoolId{pool}, {{1, 2, 3}}, index};
}

bool put_pages(store::Store& store, store::Worker& worker, store::Client& client, uint32_t pool,
               uint32_t pages) {
  for (uint32_t i = 0; i < pages; ++i) {
    const Page page = page_of(uint64_t{store.number(client)} << 32 | pool << 24 | i);
    if (store.put(worker, client, key_of(pool, i), page) != Status::kOk) return false;
  }
  return true;
}

bool populate(store::Store& store, store::Worker& worker) {
  const auto add = [&store](const char* name, uint8_t id) {
    return store.add_client({Uuid{id}, DomId{id}, name}, {}).value();
  };
  const store::ClientRef alpha = add("alpha", 1);
  const store::ClientRef beta = add("beta", 2);
  (void)add("gamma", 3);
  const Uuid shared = *parse_uuid("00000000-0000-4000-8000-00000000abcd");
  store.authorise_shared({shared, Uuid{2}}, true);
  if (store.create_pool(*alpha, PoolId{0}, {}) != Status::kOk ||
      store.create_pool(*alpha, PoolId{1}, {Kind::kPersistent, false, {}}) != Status::kOk ||
      store.create_pool(*beta, PoolId{0}, {}) != Status::kOk ||
      store.create_pool(*beta, PoolId{1}, {Kind::kEphemeral, true, shared}) != Status::kOk)
    return false;
  if (!put_pages(store, worker, *alpha, 0, 1000) || !put_pages(store, worker, *alpha, 1, 50) ||
      !put_pages(store, worker, *beta, 0, 200) || !put_pages(store, worker, *beta, 1, 20))
    return false;
  Page out{};
  for (uint32_t i = 0; i < 300; ++i) {
    if (store.get(worker, *alpha, key_of(0, i), out) != Status::kOk) return false;
    if (store.put(worker, *alpha, key_of(0, i), out) != Status::kOk) return false;
  }
  for (uint32_t i = 0; i < 100; ++i)
    if (store.get(worker, *alpha, key_of(0, 5000 + i), out) != Status::kMiss) return false;
  return true;
}

// The clients as guests of a Xen host, of which each behaves differently when asked to evacuate.
// Of the control server's thread.
class Guests {
 public:
  Result<void> set_evacuating(uint32_t client, bool on) {
    if (client > 3) return fail(Errc::kConflict, "this is no guest");
    asked_at_ms_[client] = on ? clock_.now_ms() : 0;
    return {};
  }
  std::map<uint32_t, nlohmann::json> transports() const {
    std::map<uint32_t, nlohmann::json> result;
    for (uint32_t client = 1; client <= 3; ++client) {
      const uint64_t asked_at_ms = asked_at_ms_.at(client);
      // The first says so with its pages in the pool.
      const bool done = client != 2 && clock_.now_ms() - asked_at_ms > (client == 1 ? 200 : 2500);
      result[client] = {{"kind", "xen"},
                        {"state", "connected"},
                        {"evacuating", asked_at_ms != 0},
                        {"can_migrate", asked_at_ms != 0 && done},
                        {"evacuate_error", asked_at_ms != 0 && client == 2 ? "no disk" : ""}};
    }
    return result;
  }

 private:
  const SteadyClock clock_;
  std::array<uint64_t, 4> asked_at_ms_{};  // 0: not asked
};

// A pool domain that needs time to give memory back. Of the control server's thread.
class HostMemory {
 public:
  Result<void> make_room(uint64_t bytes, uint64_t hold_ms) {
    if (bytes > 500 * kMiB) return fail(Errc::kNoSpace, "at most 500 MiB can be made free");
    wanted_bytes_ = bytes;
    asked_at_ms_ = clock_.now_ms();
    hold_ms_ = hold_ms;
    return {};
  }
  void cancel_room() { wanted_bytes_ = 0; }

  nlohmann::json memory() const {
    const uint64_t waited_ms = wanted_bytes_ == 0 ? 0 : clock_.now_ms() - asked_at_ms_;
    const bool possible = wanted_bytes_ <= 400 * kMiB;
    const uint64_t missing_bytes = possible ? std::max(wanted_bytes_, 100 * kMiB) - 100 * kMiB : 0;
    const uint64_t making_ms = missing_bytes * 1000 / (100 * kMiB);
    const uint64_t held_ms = waited_ms - std::min(waited_ms, making_ms);
    const uint64_t given_bytes = std::min(missing_bytes, waited_ms * (100 * kMiB) / 1000);
    const bool ready = 100 * kMiB + given_bytes >= wanted_bytes_;
    const char* const state = !possible ? "impossible" : ready ? "ready" : "making";
    const nlohmann::json room = {{"wanted_bytes", wanted_bytes_},
                                 {"state", state},
                                 {"hold_ms", hold_ms_ - std::min(hold_ms_, held_ms)}};
    return {{"provider", "pool-domain"},
            {"held_bytes", 900 * kMiB - given_bytes},
            {"limit_bytes", 900 * kMiB},
            {"freeable_bytes", 300 * kMiB - given_bytes},
            {"host",
             {{"total_bytes", 1024 * kMiB},
              {"free_bytes", 120 * kMiB + given_bytes},
              {"claimed_bytes", 20 * kMiB}}},
            {"head_room_bytes", 50 * kMiB},
            {"take_bytes_per_s", nullptr},
            {"give_back_bytes_per_s", 100 * kMiB},
            {"room", wanted_bytes_ == 0 ? nlohmann::json() : room},
            {"pool_domain", 3},
            {"stranded_slots", 2}};
  }

 private:
  const SteadyClock clock_;
  uint64_t wanted_bytes_ = 0;  // 0: nobody asked
  uint64_t asked_at_ms_ = 0;
  uint64_t hold_ms_ = 0;
};

nlohmann::json memfd_memory() {
  return {{"provider", "memfd"},
          {"held_bytes", 64 * kMiB},
          {"limit_bytes", 64 * kMiB},
          {"freeable_bytes", 0},
          {"host", nullptr},
          {"head_room_bytes", nullptr},
          {"take_bytes_per_s", nullptr},
          {"give_back_bytes_per_s", nullptr},
          {"room", nullptr},
          {"pool_domain", nullptr}};
}

void add_memory_hooks(control::Hooks& hooks, HostMemory& host_memory, bool memfd) {
  hooks.memory = [&host_memory, memfd] { return memfd ? memfd_memory() : host_memory.memory(); };
  hooks.make_room = [&host_memory, memfd](uint64_t bytes, uint64_t hold_ms) -> Result<void> {
    if (memfd) return fail(Errc::kConflict, "the pool is a memfd: it holds none of Xen's memory");
    return host_memory.make_room(bytes, hold_ms);
  };
  hooks.cancel_room = [&host_memory] { host_memory.cancel_room(); };
}

// Puts and gets pages of client 2 until told to stop, at a rate that leaves the CPU to the others.
void keep_busy(store::Store& store, const std::atomic<bool>& stop) {
  store::Worker worker;
  Page out{};
  while (!stop) {
    const store::ClientRef beta = store.find_client(2);
    for (uint32_t i = 0; beta != nullptr && i < 50; ++i) {
      (void)store.put(worker, *beta, key_of(0, i), page_of(i));
      (void)store.get(worker, *beta, key_of(0, i), out);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

int run(const std::string& socket_path, bool busy, bool memfd) {
  const SteadyClock clock;
  auto provider = memory::create_memfd_provider({64 * kMiB, false}).value();
  store::Options options;
  options.budget_bytes = 64 * kMiB;
  auto store = store::Store::create(options, *provider, clock, 1).value();
  store::Worker worker;
  if (!populate(*store, worker)) return 1;
  std::atomic<bool> stop{false};
  control::Hooks hooks;
  hooks.request_shutdown = [&stop](bool) -> Result<void> {
    stop = true;
    return {};
  };
  hooks.transport_stats = [] { return nlohmann::json{{"bad_requests", 0}}; };
  Guests guests;
  hooks.client_transports = [&guests] { return guests.transports(); };
  hooks.set_evacuating = [&guests](uint32_t client, bool on) {
    return guests.set_evacuating(client, on);
  };
  HostMemory host_memory;
  add_memory_hooks(hooks, host_memory, memfd);
  PolicyHost policy_host(*store);
  if (!memfd) policy_host.add_hooks(hooks);
  hooks.log = [](const std::string& line) { (void)std::fprintf(stderr, "%s\n", line.c_str()); };
  control::ServerOptions server_options;
  server_options.socket_path = socket_path;
  auto server = control::ControlServer::create(server_options, *store, clock, hooks);
  if (!server) {
    (void)std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  std::thread worker_thread;
  if (busy) worker_thread = std::thread([&] { keep_busy(*store, stop); });
  (void)std::puts("ready");
  (void)std::fflush(stdout);
  pollfd input{STDIN_FILENO, 0, 0};
  while (!stop && poll(&input, 1, 50) == 0) (void)store->maintain(worker, 16);
  // The answer to `tmem shutdown` must leave before the server ends.
  stop = true;
  (*server)->stop();
  if (worker_thread.joinable()) worker_thread.join();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    (void)std::fprintf(stderr, "usage: control_host SOCKET [--busy] [--memfd]\n");
    return 2;
  }
  try {
    const auto given = [argc, argv](std::string_view option) {
      return std::find(argv + 2, argv + argc, option) != argv + argc;
    };
    return run(argv[1], given("--busy"), given("--memfd"));
  } catch (const std::exception& error) {
    (void)std::fprintf(stderr, "control_host: %s\n", error.what());
    return 1;
  }
}
