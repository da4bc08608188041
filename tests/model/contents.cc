// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/model/contents.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>

namespace tmem::model {
namespace {

constexpr size_t kWords = kPageBytes / sizeof(uint64_t);
constexpr size_t kBases = 8;
constexpr uint64_t kTextureBits = 3;
constexpr uint64_t kBaseBits = 3;

using WordPage = std::array<uint64_t, kWords>;

std::span<char> chars(std::span<uint64_t> words) {
  return {reinterpret_cast<char*>(words.data()), words.size_bytes()};
}

void fill_random(Rng& rng, std::span<uint64_t> words) {
  for (uint64_t& word : words) word = rng.next();
}

// What LZ4 finds matches in.
void fill_text(Rng& rng, std::span<uint64_t> words) {
  static constexpr std::array<std::string_view, 16> kVocabulary = {
      "page ",  "pool ", "object ", "the ", "memory ", "of ",    "client ", "weight ",
      "evict ", "a ",    "frozen ", "put ", "get ",    "flush ", "segment", "\n\t"};
  const std::span<char> text = chars(words);
  for (size_t at = 0; at < text.size();) {
    const std::string_view word = kVocabulary[rng.below(kVocabulary.size())];
    const size_t taken = std::min(word.size(), text.size() - at);
    std::memcpy(text.data() + at, word.data(), taken);
    at += taken;
  }
}

void fill_sparse(Rng& rng, std::span<uint64_t> words) {
  std::ranges::fill(words, 0);
  for (int i = 0; i < 12; ++i) words[rng.below(static_cast<uint32_t>(words.size()))] = rng.next();
}

// Half random, half of few letters: hard for LZ4, less so for zstd's entropy coder.
void fill_mixed(Rng& rng, std::span<uint64_t> words) {
  const size_t half = words.size() / 2;
  fill_random(rng, words.first(half));
  for (char& c : chars(words.subspan(half))) c = static_cast<char>('a' + rng.below(5));
}

WordPage make_base(Texture texture, uint64_t seed) {
  WordPage page{};
  Rng rng(seed);
  switch (texture) {
    case Texture::kText:
      fill_text(rng, page);
      break;
    case Texture::kSparse:
      fill_sparse(rng, page);
      break;
    case Texture::kMixed:
      fill_mixed(rng, page);
      break;
    case Texture::kRandom:
      fill_random(rng, page);
      break;
    case Texture::kNearlySame:
      std::ranges::fill(page, rng.one_in(2) ? 0 : rng.next());
      break;
    case Texture::kSameFilled:
    case Texture::kCount:
      break;
  }
  return page;
}

}  // namespace

ContentId content_id(Texture texture, uint8_t base, uint64_t stamp) {
  return ContentId{static_cast<uint64_t>(texture) | uint64_t{base % kBases} << kTextureBits |
                   stamp << (kTextureBits + kBaseBits)};
}

bool is_same_filled(ContentId id) {
  const auto bits = static_cast<uint64_t>(id);
  const auto texture = static_cast<Texture>(bits & 7);
  const bool stamped = bits >> (kTextureBits + kBaseBits) != 0;
  return texture == Texture::kSameFilled || (texture == Texture::kNearlySame && !stamped);
}

// What a page consists of: `base` (null: `word` everywhere) with `word` at position `at`.
struct Contents::Recipe {
  const Page* base = nullptr;
  size_t at = 0;
  uint64_t word = 0;
};

Contents::Contents(uint64_t seed) {
  for (size_t t = 1; t < static_cast<size_t>(Texture::kCount); ++t)
    for (size_t b = 0; b < kBases; ++b)
      bases_.push_back(make_base(static_cast<Texture>(t), mix(seed + t * kBases + b)));
}

Contents::Recipe Contents::recipe(ContentId id) const {
  const auto bits = static_cast<uint64_t>(id);
  const uint64_t stamp = bits >> (kTextureBits + kBaseBits);
  const uint64_t word = stamp == 0 ? 0 : mix(stamp);
  const size_t texture = bits & 7;
  if (texture == static_cast<size_t>(Texture::kSameFilled)) return {nullptr, 0, word};
  const size_t base = bits >> kTextureBits & (kBases - 1);
  Recipe r{&bases_[(texture - 1) * kBases + base], 0, word};
  // First and last words are where copies and compressors go wrong: favour them.
  const uint64_t place = mix(word);
  if (place % 8 < 2) {
    r.at = kWords - 1;
  } else if (place % 8 > 2) {
    r.at = place / 8 % kWords;
  }
  if (stamp == 0) r.word = (*r.base)[r.at];
  return r;
}

void Contents::fill(ContentId id, store::PageBuffer out) const {
  const Recipe r = recipe(id);
  if (r.base == nullptr) {
    for (size_t i = 0; i < kWords; ++i) std::memcpy(&out[i * 8], &r.word, 8);
    return;
  }
  std::memcpy(out.data(), r.base->data(), kPageBytes);
  std::memcpy(&out[r.at * 8], &r.word, 8);
}

bool Contents::matches(ContentId id, store::PageBytes page) const {
  const Recipe r = recipe(id);
  if (r.base == nullptr) {
    return std::memcmp(page.data(), &r.word, 8) == 0 &&
           std::memcmp(page.data(), page.data() + 8, kPageBytes - 8) == 0;
  }
  const auto* base = reinterpret_cast<const std::byte*>(r.base->data());
  const size_t at = r.at * 8;
  return std::memcmp(page.data(), base, at) == 0 &&
         std::memcmp(page.data() + at, &r.word, 8) == 0 &&
         std::memcmp(page.data() + at + 8, base + at + 8, kPageBytes - at - 8) == 0;
}

}  // namespace tmem::model
