// SPDX-License-Identifier: GPL-2.0-or-later
// neighbour SOCKET PHASES: what a client that asks for all it can costs another one of the same
// worker. One moves pages in batches; the other is quiet or attacks, in phases too short for the
// machine to change meanwhile. Prints for each attack the first one's operations under attack over
// those of the quiet phases before and after: the median of PHASES, the quartiles, and the mean of
// all phases; how many operations a second it had when quiet, and the other one under attack; and
// in ms what its slowest batches took, when quiet and under attack.
//
// Both are on the machine's last CPU, the daemon should have another one (neighbour.sh). The first
// one sleeps between batches; the attacker has the CPU while that sleeps or waits, and gives it
// back at once (SCHED_IDLE: of the lowest nice value it would keep it for milliseconds). It is
// never idle, so that the first one finds its CPU equally busy in all phases.
#include <fmt/core.h>
#include <sched.h>
#include <sys/prctl.h>
#include <tmem/tmem.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstring>
#include <iterator>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/bench/measure.h"

namespace tmem::bench {
namespace {

constexpr auto kPhase = std::chrono::milliseconds(50);
constexpr auto kPause = std::chrono::microseconds(30);
constexpr auto kSettle = std::chrono::milliseconds(5);
constexpr uint32_t kPersistentPool = 1;
constexpr uint32_t kPoolsOfClient = 4;
constexpr size_t kBatch = 16;
constexpr size_t kFull = 64;
constexpr uint32_t kIndices = 512;

enum class Attack { kQuiet, kPages, kPools, kFlushes, kSingles };

struct Disconnect {
  void operator()(tmem_client* client) const { tmem_disconnect(client); }
};
using Client = std::unique_ptr<tmem_client, Disconnect>;

void stay_on_last_cpu() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  TMEM_ASSERT(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  int last = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) last = cpu;
  CPU_ZERO(&allowed);
  CPU_SET(last, &allowed);
  TMEM_ASSERT(sched_setaffinity(0, sizeof allowed, &allowed) == 0);
}

// False: not all were made; some may have been there.
bool create_pools(tmem_client* client) {
  bool created = true;
  for (uint32_t pool = 0; pool < kPoolsOfClient; ++pool) {
    const uint32_t flags = pool % 2 == kPersistentPool ? TMEM_POOL_PERSISTENT : 0;
    created &= tmem_pool_create(client, pool, flags, nullptr) == TMEM_OK;
  }
  return created;
}

Client connect(const char* socket, const char* name) {
  tmem_connect_options options{};
  options.socket_path = socket;
  options.name = name;
  options.queues = 1;
  options.timeout_ms = 60'000;
  tmem_client* client = nullptr;
  std::array<char, 256> reason{};
  if (tmem_connect(&options, &client, reason.data(), reason.size()) != 0) {
    fmt::print(stderr, "neighbour: {}\n", reason.data());
    return nullptr;
  }
  Client connected(client);
  if (!create_pools(client)) return nullptr;
  return connected;
}

Buffer random_pages(size_t count) {
  Buffer pages(count * kPageBytes);
  std::mt19937_64 random(count);
  for (size_t i = 0; i < pages.bytes().size(); i += 8) {
    const uint64_t word = random();
    std::memcpy(&pages.bytes()[i], &word, 8);
  }
  return pages;
}

// Puts a batch of pages and gets it back, with a pause after each, without end.
class Mover {
 public:
  explicit Mover(Client client) : client_(std::move(client)) {}

  void run(const std::atomic<bool>& over) {
    stay_on_last_cpu();
    (void)prctl(PR_SET_TIMERSLACK, 1000);
    for (uint32_t first = 0; !over; first = (first + kBatch) % kIndices) {
      for (const uint8_t op : {TMEM_OP_PUT, TMEM_OP_GET}) {
        batch(first, op);
        std::this_thread::sleep_for(kPause);
      }
    }
  }
  uint64_t moved() const { return moved_; }
  // How long each batch since the last call took, in ns.
  std::vector<double> take_batches() {
    const std::lock_guard lock(mutex_);
    return std::exchange(batches_ns_, {});
  }
  uint64_t failed() const { return failed_; }

 private:
  void batch(uint32_t first, uint8_t op) {
    for (uint32_t i = 0; i < kBatch; ++i) {
      auto* page = op == TMEM_OP_PUT ? pages_.page(first + i).data() : got_.page(i).data();
      const tmem_key key{.pool = kPersistentPool, .index = first + i, .oid = {}};
      ops_[i] = {.op = op, .key = key, .page = page, .status = 0};
    }
    const uint64_t start_ns = wall_ns();
    (void)tmem_batch(client_.get(), ops_.data(), kBatch);
    const uint64_t took_ns = wall_ns() - start_ns;
    {
      const std::lock_guard lock(mutex_);
      batches_ns_.push_back(static_cast<double>(took_ns));
    }
    for (uint32_t i = 0; i < kBatch; ++i) {
      const bool good =
          ops_[i].status == TMEM_OK &&
          (op == TMEM_OP_PUT || std::ranges::equal(got_.page(i), pages_.page(first + i)));
      ++(good ? moved_ : failed_);
    }
  }

  const Client client_;
  Buffer pages_ = random_pages(kIndices);
  Buffer got_{kBatch * kPageBytes};
  std::array<tmem_batch_op, kBatch> ops_{};
  std::mutex mutex_;
  std::vector<double> batches_ns_;  // under mutex_
  std::atomic<uint64_t> moved_{0};
  std::atomic<uint64_t> failed_{0};
};

class Attacker {
 public:
  explicit Attacker(Client client) : client_(std::move(client)) {}

  void run(const std::atomic<bool>& over) {
    stay_on_last_cpu();
    const sched_param none{};
    TMEM_ASSERT(sched_setscheduler(0, SCHED_IDLE, &none) == 0);
    while (!over) {
      switch (attack_.load()) {
        case Attack::kQuiet:
          break;
        case Attack::kPages:
          pages();
          break;
        case Attack::kPools:
          pools();
          break;
        case Attack::kFlushes:
          flushes();
          break;
        case Attack::kSingles:
          single();
          break;
      }
    }
  }
  void set(Attack attack) { attack_ = attack; }
  uint64_t asked() const { return asked_; }

 private:
  // Mostly puts of pages that neither compress nor repeat, with gets, and objects dropped.
  void pages() {
    for (size_t i = 0; i < kFull; ++i) {
      const uint64_t dice = random_() % 1000;
      const auto op = static_cast<uint8_t>(dice < 700   ? TMEM_OP_PUT
                                           : dice < 990 ? TMEM_OP_GET
                                                        : TMEM_OP_FLUSH_OBJECT);
      const uint64_t fresh = random_();
      std::memcpy(pages_.page(i).data(), &fresh, sizeof fresh);
      const tmem_key key{.pool = static_cast<uint32_t>(random_() % kPoolsOfClient),
                         .index = static_cast<uint32_t>(random_() % kIndices),
                         .oid = {random_() % 8, 0, 0}};
      ops_[i] = {.op = op, .key = key, .page = pages_.page(i).data(), .status = 0};
    }
    ask();
  }
  // The same, and the pools dropped again and again: puts and the background free them.
  void pools() {
    if (random_() % 16 == 0) {
      const auto pool = static_cast<uint32_t>(random_() % kPoolsOfClient);
      (void)(random_() % 2 ? tmem_pool_destroy(client_.get(), pool)
                           : tmem_pool_flush(client_.get(), pool));
    }
    if (random_() % 64 == 0) (void)create_pools(client_.get());
    pages();
  }
  // As many requests, of which none moves a page.
  void flushes() {
    for (uint32_t i = 0; i < kFull; ++i) {
      const tmem_key key{.pool = 0, .index = i, .oid = {99, 0, 0}};
      ops_[i] = {.op = TMEM_OP_FLUSH_PAGE, .key = key, .page = nullptr, .status = 0};
    }
    ask();
  }
  void ask() {
    (void)tmem_batch(client_.get(), ops_.data(), kFull);
    asked_ += kFull;
  }
  // One request, one notification.
  void single() {
    const tmem_key key{.pool = 0, .index = 0, .oid = {99, 0, 0}};
    (void)tmem_flush_page(client_.get(), &key);
    ++asked_;
  }

  const Client client_;
  std::mt19937_64 random_{1};
  Buffer pages_ = random_pages(kFull);
  std::array<tmem_batch_op, kFull> ops_{};
  std::atomic<Attack> attack_{Attack::kQuiet};
  std::atomic<uint64_t> asked_{0};
};

// Operations a second in one phase; adds what its batches took.
double phase(Mover& mover, Attacker& attacker, Attack attack, std::vector<double>& batches_ns) {
  attacker.set(attack);
  std::this_thread::sleep_for(kSettle);
  (void)mover.take_batches();
  const uint64_t before = mover.moved();
  const uint64_t start_ns = wall_ns();
  std::this_thread::sleep_for(kPhase);
  const uint64_t moved = mover.moved() - before;
  const uint64_t took_ns = wall_ns() - start_ns;
  std::ranges::copy(mover.take_batches(), std::back_inserter(batches_ns));
  return static_cast<double>(moved) * 1e9 / static_cast<double>(took_ns);
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

void measure(Mover& mover, Attacker& attacker, Attack attack, const char* name, size_t phases) {
  std::vector<double> ratios;
  std::vector<double> attacked;
  std::vector<double> quiet_ns;
  std::vector<double> attacked_ns;
  std::vector<double> quiets{phase(mover, attacker, Attack::kQuiet, quiet_ns)};
  const uint64_t asked = attacker.asked();
  for (size_t i = 0; i < phases; ++i) {
    attacked.push_back(phase(mover, attacker, attack, attacked_ns));
    quiets.push_back(phase(mover, attacker, Attack::kQuiet, quiet_ns));
    const double quiet = (quiets[i] + quiets[i + 1]) / 2;
    if (quiet > 0) ratios.push_back(attacked[i] / quiet);  // else the machine stood still
  }
  const double seconds =
      static_cast<double>(phases) * std::chrono::duration<double>(kPhase).count();
  const auto milliseconds = [](const std::vector<double>& batches_ns, double part) {
    return quantile(batches_ns, part) / 1e6;
  };
  fmt::print(
      "{:8} {:.3f} ({:.3f} to {:.3f})  {:.3f}  {:9.0f} {:9.0f}  {:7.2f} {:7.2f}  {:7.1f} {:7.1f}\n",
      name, median(ratios), quantile(ratios, 0.25), quantile(ratios, 0.75),
      mean(attacked) / mean(quiets), median(quiets),
      static_cast<double>(attacker.asked() - asked) / seconds, milliseconds(quiet_ns, 0.999),
      milliseconds(attacked_ns, 0.999), milliseconds(quiet_ns, 1), milliseconds(attacked_ns, 1));
}

int run(const char* socket, size_t phases) {
  Client first = connect(socket, "first");
  Client second = connect(socket, "second");
  if (!first || !second) return 1;
  Mover mover(std::move(first));
  Attacker attacker(std::move(second));
  std::atomic<bool> over{false};
  {
    std::jthread moving([&] { mover.run(over); });
    std::jthread attacking([&] { attacker.run(over); });
    fmt::print(
        "         of quiet (quartiles)      mean   operations  requests  1 of 1000 over  longest, "
        "ms\n"
        "                                          /s, quiet   /s, other  quiet  attack   quiet  "
        "attack\n");
    std::vector<double> ignored;
    (void)phase(mover, attacker, Attack::kQuiet, ignored);
    measure(mover, attacker, Attack::kQuiet, "quiet", phases);
    measure(mover, attacker, Attack::kPages, "pages", phases);
    measure(mover, attacker, Attack::kPools, "pools", phases);
    measure(mover, attacker, Attack::kFlushes, "flushes", phases);
    measure(mover, attacker, Attack::kSingles, "singles", phases);
    over = true;
  }
  if (mover.failed() != 0) fmt::print(stderr, "neighbour: {} operations failed\n", mover.failed());
  return mover.failed() == 0 && mover.moved() > 0 && attacker.asked() > 0 ? 0 : 1;
}

}  // namespace
}  // namespace tmem::bench

int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape): only for lack of memory
  size_t phases = 0;
  const std::string_view count = argc == 3 ? argv[2] : "";
  if (std::from_chars(count.data(), count.data() + count.size(), phases).ec != std::errc{} ||
      phases == 0) {
    fmt::print(stderr, "usage: neighbour SOCKET PHASES\n");
    return 2;
  }
  return tmem::bench::run(argv[1], phases);
}
