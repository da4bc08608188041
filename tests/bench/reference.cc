// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/bench/reference.h"

#include <lz4.h>

namespace tmem::bench {

int Codec::compress(Page page) {
  const int bytes =
      LZ4_compress_default(reinterpret_cast<const char*>(page.data()), compressed_.data(),
                           kPageBytes, static_cast<int>(compressed_.size()));
  keep(compressed_.data());
  return bytes;
}

int Codec::reference_s(Page page) {
  reference_h(page);
  return compress(page);
}

void Codec::decompress(std::span<const std::byte> blob) {
  const int bytes = LZ4_decompress_safe(reinterpret_cast<const char*>(blob.data()),
                                        reinterpret_cast<char*>(out_.data()),
                                        static_cast<int>(blob.size()), kPageBytes);
  TMEM_ASSERT(bytes == static_cast<int>(kPageBytes));
  keep(out_.data());
}

BlobArena::BlobArena(const Corpus& corpus, const std::vector<uint32_t>& pages)
    : places_(pages.size()) {
  size_t total = 0;
  for (const uint32_t page : pages) total += corpus.lz4_bytes(page) + 64;
  memory_ = Buffer((total + kPageBytes - 1) / kPageBytes * kPageBytes);
  Codec codec;
  size_t offset = 0;
  for (const uint32_t i : shuffled(pages.size(), 2)) {
    const auto bytes = static_cast<size_t>(codec.compress(corpus.page(pages[i])));
    std::memcpy(memory_.bytes().data() + offset, codec.compressed_.data(), bytes);
    places_[i] = {offset, bytes};
    offset += (bytes + 15) / 16 * 16;
  }
}

}  // namespace tmem::bench
