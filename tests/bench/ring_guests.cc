// SPDX-License-Identifier: GPL-2.0-or-later
// ring_guests SOCKET CORPUS: four clients at once put their pages of a corpus through a daemon's
// ring, half of them into a persistent pool, half into an ephemeral one, then get all of them.
// Every get must be a hit and every byte the same; a second get of an ephemeral page a miss.
#include <fmt/core.h>
#include <tmem/abi.h>
#include <tmem/tmem.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/corpus.h"

namespace tmem::bench {
namespace {

constexpr size_t kClients = 4;
constexpr size_t kRunPages = 16;
constexpr size_t kBatch = 32;
constexpr uint32_t kPersistentPool = 0;
constexpr uint32_t kEphemeralPool = 1;

struct Disconnect {
  void operator()(tmem_client* client) const { tmem_disconnect(client); }
};

struct Tally {
  uint64_t puts = 0;
  uint64_t hits = 0;
  uint64_t different = 0;
  std::string error;
};

tmem_key key_of_page(size_t page) {
  const auto pool = page / kRunPages / kClients % 2 == 0 ? kPersistentPool : kEphemeralPool;
  return {.pool = pool, .index = static_cast<uint32_t>(page % 1024), .oid = {page / 1024, 7, 9}};
}

class Guest {
 public:
  Guest(const Corpus& corpus, size_t number) : corpus_(corpus) {
    for (size_t i = 0; i < corpus.pages(); ++i)
      if (i / kRunPages % kClients == number) pages_.push_back(i);
    name_ = "guest" + std::to_string(number);
  }

  // Meant to be run on a thread of its own.
  Tally run(const std::string& socket) {
    tmem_connect_options options{};
    options.socket_path = socket.c_str();
    options.name = name_.c_str();
    options.timeout_ms = 60'000;
    tmem_client* client = nullptr;
    std::array<char, 256> reason{};
    if (tmem_connect(&options, &client, reason.data(), reason.size()) != 0) {
      tally_.error = std::string("connect: ") + reason.data();
      return tally_;
    }
    client_.reset(client);
    if (tmem_pool_create(client, kPersistentPool, TMEM_POOL_PERSISTENT, nullptr) != TMEM_OK ||
        tmem_pool_create(client, kEphemeralPool, 0, nullptr) != TMEM_OK) {
      tally_.error = "pool_create failed";
      return tally_;
    }
    for (size_t from = 0; from < pages_.size(); from += kBatch) put_batch(from);
    for (size_t from = 0; from < pages_.size(); from += kBatch) get_batch(from);
    Buffer again(kPageBytes);
    const tmem_key gone = key_of_page(pages_.back());
    if (gone.pool == kEphemeralPool && tmem_get(client, &gone, again.bytes().data()) != TMEM_MISS)
      tally_.error = "an ephemeral page was there after it was got";
    return tally_;
  }

  size_t pages() const { return pages_.size(); }

 private:
  size_t fill(size_t from, uint8_t op) {
    const size_t count = std::min(kBatch, pages_.size() - from);
    for (size_t i = 0; i < count; ++i) {
      auto bytes = buffer_.page(i);
      if (op == TMEM_OP_PUT) std::memcpy(bytes.data(), source(from + i), kPageBytes);
      batch_[i] = {
          .op = op, .key = key_of_page(pages_[from + i]), .page = bytes.data(), .status = 0};
    }
    (void)tmem_batch(client_.get(), batch_.data(), count);
    return count;
  }
  void put_batch(size_t from) {
    const size_t count = fill(from, TMEM_OP_PUT);
    for (size_t i = 0; i < count; ++i) tally_.puts += batch_[i].status == TMEM_OK;
  }
  void get_batch(size_t from) {
    std::memset(buffer_.bytes().data(), 0x5a, buffer_.bytes().size());
    const size_t count = fill(from, TMEM_OP_GET);
    for (size_t i = 0; i < count; ++i) {
      if (batch_[i].status != TMEM_OK) continue;
      ++tally_.hits;
      tally_.different += std::memcmp(buffer_.page(i).data(), source(from + i), kPageBytes) != 0;
    }
  }
  const std::byte* source(size_t i) const { return corpus_.page(pages_[i]).data(); }

  const Corpus& corpus_;
  std::string name_;
  std::vector<size_t> pages_;
  std::unique_ptr<tmem_client, Disconnect> client_;
  Buffer buffer_{kBatch * kPageBytes};
  std::array<tmem_batch_op, kBatch> batch_{};
  Tally tally_;
};

int run(const std::string& socket, const std::string& path) {
  const auto corpus = Corpus::load(path);
  if (!corpus) {
    fmt::print(stderr, "ring_guests: {}\n", corpus.error().message);
    return 2;
  }
  std::vector<Guest> guests;
  for (size_t g = 0; g < kClients; ++g) guests.emplace_back(*corpus, g);
  std::array<Tally, kClients> tallies;
  std::vector<std::jthread> threads;
  for (size_t g = 0; g < kClients; ++g)
    threads.emplace_back([&, g] { tallies[g] = guests[g].run(socket); });
  threads.clear();
  bool good = true;
  for (size_t g = 0; g < kClients; ++g) {
    const Tally& t = tallies[g];
    fmt::print("guest{}: {} pages, {} puts accepted, {} hits, {} different {}\n", g,
               guests[g].pages(), t.puts, t.hits, t.different, t.error);
    good = good && t.puts == guests[g].pages() && t.hits == t.puts && t.different == 0 &&
           t.error.empty();
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace tmem::bench

int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape): only for lack of memory
  if (argc != 3) {
    fmt::print(stderr, "usage: ring_guests SOCKET CORPUS\n");
    return 2;
  }
  return tmem::bench::run(argv[1], argv[2]);
}
