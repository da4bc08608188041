// SPDX-License-Identifier: GPL-2.0-or-later
// A thread's scratch memory, and what can be done to one page's bytes: same-filled test,
// fingerprint, compression. Stateless towards the store.
#pragma once
#include <lz4.h>
#include <zstd.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tmemd/store/store.h"

namespace tmem::store {

struct Fingerprint {
  uint64_t low = 0;
  uint64_t high = 0;
};

// Keyed by the store's secret seed, so that a guest cannot construct collisions.
class Fingerprinter {
 public:
  explicit Fingerprinter(uint64_t seed);
  Fingerprint operator()(PageBytes page) const;

 private:
  static constexpr size_t kSecretBytes = 192;
  std::array<unsigned char, kSecretBytes> secret_{};
};

// The eight bytes that fill the page, if it repeats them.
std::optional<uint64_t> same_filled_value(PageBytes page);
void fill_page(PageBuffer out, uint64_t value);

// A blob larger than this is not worth a decompression: the page stays raw.
inline constexpr size_t kBlobBytesMax = 4000;

struct Worker::State {
  explicit State(std::function<void()> pause_hook) : pause_hook_(std::move(pause_hook)) {}

  struct FreeCompressor {
    void operator()(ZSTD_CCtx* c) const { (void)ZSTD_freeCCtx(c); }
  };
  struct FreeDecompressor {
    void operator()(ZSTD_DCtx* d) const { (void)ZSTD_freeDCtx(d); }
  };

  // Only where no lock is held that others wait for.
  void pause() {
    if (pause_hook_) pause_hook_();
  }
  void pause_between_pages() {
    if (++pages_ % kPagesPerPause == 0) pause();
  }

  // Compresses to `blob`. Returns its size, or 0 when it is larger than kBlobBytesMax.
  size_t compress_lz4(const std::byte* page);
  size_t compress_zstd(const std::byte* page);
  // Restores a page from its stored bytes. `out` may be shared with a hostile writer. Returns
  // false only for bytes that no compressor of ours wrote.
  bool expand(Tier tier, const std::byte* stored, size_t stored_bytes, std::byte* out);

  uint32_t counter_line = kNoLine;  // which line of a client's counters; set at first use
  static constexpr uint32_t kNoLine = ~0u;
  alignas(64) std::array<std::byte, kPageBytes> page{};  // a twin candidate, expanded
  alignas(64) std::array<std::byte, LZ4_COMPRESSBOUND(kPageBytes)> blob{};
  std::vector<uint32_t> contents;  // handles of the segment being worked on

 private:
  static constexpr uint32_t kPagesPerPause = 4;  // a page is compressed in 4 to 30 us

  const std::function<void()> pause_hook_;
  uint32_t pages_ = 0;
  LZ4_stream_t lz4_{};
  std::unique_ptr<ZSTD_CCtx, FreeCompressor> zstd_compressor_;      // made at first use
  std::unique_ptr<ZSTD_DCtx, FreeDecompressor> zstd_decompressor_;  // likewise
};

}  // namespace tmem::store
