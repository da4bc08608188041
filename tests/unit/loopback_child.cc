// SPDX-License-Identifier: GPL-2.0-or-later
// A client that puts and gets until it is killed. argv[1]: the daemon's socket.
#include <array>
#include <vector>

#include "tmem/tmem.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  tmem_connect_options options{};
  options.socket_path = argv[1];
  options.name = "child";
  tmem_client* client = nullptr;
  if (tmem_connect(&options, &client, nullptr, 0) != 0) return 1;
  if (tmem_pool_create(client, 0, 0, nullptr) != TMEM_OK) return 1;
  if (tmem_pool_create(client, 1, TMEM_POOL_PERSISTENT, nullptr) != TMEM_OK) return 1;
  std::vector<std::array<unsigned char, TMEM_PAGE_BYTES>> pages(64);
  std::vector<tmem_batch_op> ops(pages.size());
  for (uint32_t round = 0;; ++round) {
    for (uint32_t i = 0; i < ops.size(); ++i) {
      pages[i].fill(static_cast<unsigned char>(round + i));
      pages[i][7] = static_cast<unsigned char>(i * 3);
      const bool put = i % 2 == 0;
      ops[i] = {static_cast<uint8_t>(put ? TMEM_OP_PUT : TMEM_OP_GET),
                {i % 2, round % 512 + i / 2, {i, 0, 0}},
                pages[i].data(),
                0};
    }
    if (tmem_batch(client, ops.data(), ops.size()) != 0) return 1;
  }
}
