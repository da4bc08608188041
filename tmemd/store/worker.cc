// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/store/worker.h"

#define XXH_STATIC_LINKING_ONLY  // for XXH3_generateSecret_fromSeed
#include <xxhash.h>

#include <cstring>

#include "libtmem/base/assert.h"
#include "libtmem/base/mutation.h"

namespace tmem::store {
namespace {
constexpr int kZstdLevel = 1;
}

Fingerprinter::Fingerprinter(uint64_t seed) {
  static_assert(kSecretBytes >= XXH3_SECRET_SIZE_MIN);
  XXH3_generateSecret_fromSeed(secret_.data(), seed);
}

Fingerprint Fingerprinter::operator()(PageBytes page) const {
  const XXH128_hash_t hash =
      XXH3_128bits_withSecret(page.data(), page.size(), secret_.data(), secret_.size());
  return {hash.low64, hash.high64};
}

std::optional<uint64_t> same_filled_value(PageBytes page) {
  uint64_t first = 0;
  uint64_t last = 0;
  std::memcpy(&first, page.data(), sizeof first);
  std::memcpy(&last, page.data() + kPageBytes - sizeof last, sizeof last);
  if (first != last) return std::nullopt;
  if (std::memcmp(page.data(), page.data() + sizeof first, kPageBytes - sizeof first) != 0)
    return std::nullopt;
  return first;
}

void fill_page(PageBuffer out, uint64_t value) {
  if (value == 0) {
    std::memset(out.data(), 0, out.size());
    return;
  }
  for (size_t i = 0; i < out.size(); i += sizeof value)
    std::memcpy(out.data() + i, &value, sizeof value);
}

Worker::Worker(std::function<void()> pause) : state_(std::make_unique<State>(std::move(pause))) {}
Worker::~Worker() = default;
Worker::Worker(Worker&&) noexcept = default;

size_t Worker::State::compress_lz4(const std::byte* page_in) {
  const int size = LZ4_compress_fast_extState(&lz4_, reinterpret_cast<const char*>(page_in),
                                              reinterpret_cast<char*>(blob.data()), int{kPageBytes},
                                              int{kBlobBytesMax}, /*acceleration=*/1);
  if (size > 0 && TMEM_MUTATED(kCompressDropsTail))
    blob[static_cast<size_t>(size) - 1] ^= std::byte{1};
  return static_cast<size_t>(size);
}

size_t Worker::State::compress_zstd(const std::byte* page_in) {
  if (!zstd_compressor_) zstd_compressor_.reset(ZSTD_createCCtx());
  if (!zstd_compressor_) return 0;
  const size_t size = ZSTD_compressCCtx(zstd_compressor_.get(), blob.data(), kBlobBytesMax, page_in,
                                        kPageBytes, kZstdLevel);
  return ZSTD_isError(size) != 0 ? 0 : size;
}

bool Worker::State::expand(Tier tier, const std::byte* stored, size_t stored_bytes,
                           std::byte* out) {
  switch (tier) {
    case Tier::kRaw:
      std::memcpy(out, stored, kPageBytes);
      return true;
    case Tier::kLz4:
      return LZ4_decompress_safe(reinterpret_cast<const char*>(stored),
                                 reinterpret_cast<char*>(out), static_cast<int>(stored_bytes),
                                 int{kPageBytes}) == int{kPageBytes};
    case Tier::kZstd:
      if (!zstd_decompressor_) zstd_decompressor_.reset(ZSTD_createDCtx());
      if (!zstd_decompressor_) return false;
      // zstd keeps literals in its output buffer, so a hostile `out` is not given to it.
      if (ZSTD_decompressDCtx(zstd_decompressor_.get(), page.data(), page.size(), stored,
                              stored_bytes) != kPageBytes)
        return false;
      if (out != page.data()) std::memcpy(out, page.data(), kPageBytes);
      return true;
  }
  return false;
}

}  // namespace tmem::store
