// SPDX-License-Identifier: LGPL-2.1-or-later
// Batches from C++: 256 pages into a persistent pool, and back, with few notifications. This is how
// a swap device would use tmem.
//
//   batch [SOCKET]     exit status 0 when every page came back unchanged
#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "tmem/tmem.h"

namespace {

constexpr uint32_t kPool = 1;
constexpr uint32_t kPages = 256;
using Page = std::array<unsigned char, TMEM_PAGE_BYTES>;

struct Disconnect {
  void operator()(tmem_client* client) const { tmem_disconnect(client); }
};
using Client = std::unique_ptr<tmem_client, Disconnect>;

Client connect(const char* socket) {
  tmem_connect_options options{};
  options.socket_path = socket;
  options.name = "batch";
  std::array<char, 128> reason{};
  tmem_client* client = nullptr;
  if (tmem_connect(&options, &client, reason.data(), reason.size()) != 0)
    (void)std::fprintf(stderr, "connect: %s\n", reason.data());
  return Client(client);
}

// The pages of one swap device: 1024 to an object.
std::vector<tmem_batch_op> operations(uint8_t op, std::vector<Page>& pages) {
  std::vector<tmem_batch_op> ops;
  for (uint32_t i = 0; i < pages.size(); ++i)
    ops.push_back({op, {kPool, i % 1024, {i / 1024, 0, 0}}, pages[i].data(), 0});
  return ops;
}

bool run(tmem_client* client, std::vector<tmem_batch_op> ops) {
  const int status = tmem_batch(client, ops.data(), ops.size());
  if (status != 0) (void)std::fprintf(stderr, "batch: %s\n", tmem_status_name(status));
  uint32_t refused = 0;
  for (const tmem_batch_op& op : ops)
    if (op.status != TMEM_OK) ++refused;
  // A refused page would go to the disk instead.
  if (refused != 0) (void)std::fprintf(stderr, "%u operations were refused\n", refused);
  return status == 0 && refused == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const Client client = connect(argc > 1 ? argv[1] : nullptr);
  if (client == nullptr) return 1;
  if (tmem_pool_create(client.get(), kPool, TMEM_POOL_PERSISTENT, nullptr) != TMEM_OK) return 1;
  std::vector<Page> out(kPages);
  std::vector<Page> in(kPages);
  for (uint32_t i = 0; i < kPages; ++i)
    for (uint32_t byte = 0; byte < TMEM_PAGE_BYTES; ++byte)
      out[i][byte] = static_cast<unsigned char>(i + byte / 64);
  if (!run(client.get(), operations(TMEM_OP_PUT, out))) return 1;
  if (!run(client.get(), operations(TMEM_OP_GET, in)) || in != out) return 1;
  // Persistent pages stay until they are flushed.
  if (tmem_pool_destroy(client.get(), kPool) != TMEM_OK) return 1;
  (void)std::printf("%u pages went to tmemd and came back\n", kPages);
  return 0;
}
