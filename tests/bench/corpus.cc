// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/bench/corpus.h"

#include <lz4.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <unordered_map>

#include "tests/bench/reference.h"

namespace tmem::bench {
namespace {

uint32_t lz4_bytes_of(std::span<const std::byte, kPageBytes> page) {
  std::array<char, LZ4_COMPRESSBOUND(kPageBytes)> out{};
  const int n = LZ4_compress_default(reinterpret_cast<const char*>(page.data()), out.data(),
                                     kPageBytes, static_cast<int>(out.size()));
  return std::min<uint32_t>(static_cast<uint32_t>(n), kPageBytes);
}

}  // namespace

Result<Corpus> Corpus::load(const std::string& path) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(path, error);
  if (error) return fail(Errc::kNotFound, "cannot read " + path + ": " + error.message());
  if (bytes == 0 || bytes % kPageBytes != 0)
    return fail(
        Errc::kMalformed,
        path + " is no corpus: its size is no multiple of 4096 bytes (tools/corpus makes one)");
  Corpus corpus;
  corpus.name_ = std::filesystem::path(path).stem().string();
  corpus.memory_ = Buffer(bytes);
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(corpus.memory_.bytes().data()),
                 static_cast<std::streamsize>(bytes)))
    return fail(Errc::kOs, "cannot read all of " + path);
  corpus.examine();
  return corpus;
}

void Corpus::examine() {
  facts_.resize(pages());
  std::unordered_map<std::string_view, uint32_t> first;
  first.reserve(pages());
  for (const uint32_t i : shuffled(pages(), 1)) {
    const auto bytes = page(i);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    Facts& facts = facts_[i];
    facts.same_filled = is_same_filled(bytes);
    facts.zero = facts.same_filled && bytes[0] == std::byte{0};
    facts.first_equal = first.try_emplace(text, i).first->second;
    if (facts.first_equal != i) {
      facts.lz4_bytes = facts_[facts.first_equal].lz4_bytes;
      continue;
    }
    facts.lz4_bytes = lz4_bytes_of(bytes);
    if (facts.same_filled) continue;
    (facts.lz4_bytes < kIncompressibleBytes ? compressible_ : incompressible_).push_back(i);
  }
}

}  // namespace tmem::bench
