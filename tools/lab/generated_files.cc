// SPDX-License-Identifier: GPL-2.0-or-later
// Files invented from a seed, for machines that have too few of their own. Text: identifiers of a
// vocabulary by Zipf's law, indented lines, comments. Binaries: instructions from weighted
// templates with random operands, then strings, symbols and zero padding. docs/lab.md compares
// their compressibility with that of real files.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "tools/lab/file_source.h"
#include "tools/lab/rng.h"

namespace tmem::lab {
namespace {

constexpr uint32_t kWords = 3000;
constexpr uint32_t kWordsOfFile = 40;
constexpr uint64_t kBinaryBytes = 256 * kKiB;

class Vocabulary {
 public:
  explicit Vocabulary(uint64_t seed) {
    static constexpr std::string_view kSyllables[] = {
        "get", "set", "buf",  "len",  "node",  "list", "lock", "page",
        "dev", "ctx", "io",   "reg",  "map",   "ptr",  "cnt",  "idx",
        "max", "min", "init", "free", "alloc", "flag", "mode", "data"};
    Rng rng(mix(seed, 1));
    for (uint32_t i = 0; i < kWords; ++i) {
      std::string word(kSyllables[rng.below(std::size(kSyllables))]);
      for (uint32_t more = rng.below(3); more > 0; --more) {
        word += '_';
        word += kSyllables[rng.below(std::size(kSyllables))];
      }
      if (rng.below(3) == 0) word += fmt::format("{}", rng.below(100));
      words_.push_back(std::move(word));
    }
  }
  // The words of one file: it uses few of all.
  Vocabulary(const Vocabulary& all, Rng& rng) {
    for (uint32_t i = 0; i < kWordsOfFile; ++i) words_.push_back(all.pick(rng));
  }
  const std::string& pick(Rng& rng) const {
    return words_[rng.skewed_below(static_cast<uint32_t>(words_.size()))];
  }

 private:
  std::vector<std::string> words_;
};

std::string text_line(const Vocabulary& words, Rng& rng, const std::string& prefix) {
  const std::string indent(rng.below(4), '\t');
  switch (rng.below(8)) {
    case 0:
      return "\n";
    case 1:
      return fmt::format("{}/* {} of the {}, in {} order: {} */\n", indent, words.pick(rng),
                         words.pick(rng), words.pick(rng), words.pick(rng));
    case 2:
      return fmt::format("{}if ({}->{} != {}_{}(0x{:x}))\n", indent, words.pick(rng),
                         words.pick(rng), prefix, words.pick(rng), rng.below(1u << 16));
    case 3:
      return fmt::format("#define {}_{} {:#x}u\n", prefix, words.pick(rng), rng.below(1u << 20));
    case 4:
      return fmt::format("{}return {}({}, sizeof(*{}));\n", indent, words.pick(rng),
                         words.pick(rng), words.pick(rng));
    default:
      return fmt::format("{}{} = {}_{}({}->{}, {});\n", indent, words.pick(rng), prefix,
                         words.pick(rng), words.pick(rng), words.pick(rng), rng.below(256));
  }
}

std::string make_text(const Vocabulary& words, uint64_t seed, uint64_t bytes) {
  Rng rng(seed);
  const Vocabulary own(words, rng);
  const std::string& prefix = own.pick(rng);
  std::string text;
  text.reserve(bytes + 256);
  while (text.size() < bytes) text += text_line(own, rng, prefix);
  text.resize(bytes);
  return text;
}

void append_code(std::string& out, Rng& rng, uint64_t until) {
  while (out.size() < until) {
    if (rng.below(3) == 0 && out.size() > 1024) {  // idioms come again
      out.append(std::string(out, out.size() - 16 - rng.below(1000), 5 + rng.below(12)));
      continue;
    }
    // 400 opcode templates, some common; operands: often small, sometimes a far address.
    const uint64_t opcode = mix(rng.skewed_below(400), 0xc0de);
    const uint32_t opcode_bytes = 1 + static_cast<uint32_t>(opcode >> 61) % 4;
    for (uint32_t i = 0; i < opcode_bytes; ++i) {
      out += static_cast<char>((opcode >> (8 * i)) & 0xff);
    }
    switch (rng.below(4)) {
      case 0:
        out += static_cast<char>(8 * rng.below(16));
        break;
      case 1: {
        const uint32_t far = rng.below(1u << 18);
        out += static_cast<char>(far & 0xff);
        out += static_cast<char>((far >> 8) & 0xff);
        out += static_cast<char>(far >> 16);
        out += '\0';
        break;
      }
      default:
        break;
    }
  }
}

void append_tables(std::string& out, const Vocabulary& words, Rng& rng, uint64_t until) {
  uint32_t address = 0x1000;
  while (out.size() < until) {
    if (rng.below(3) == 0) {
      out += words.pick(rng);
      out += '\0';
      continue;
    }
    address += 16 * (1 + rng.below(24));
    const uint32_t entry[6] = {rng.below(1u << 16), 0x12, address, 0, rng.below(512), 0};
    out.append(reinterpret_cast<const char*>(entry), sizeof entry);
  }
}

std::string make_binary(const Vocabulary& words, uint64_t seed, uint64_t bytes) {
  Rng rng(seed);
  std::string out(
      "\x7f"
      "ELF\x02\x01\x01",
      7);
  append_code(out, rng, bytes * 70 / 100);
  out.resize(out.size() + 4 * kKiB);  // padding between sections
  append_tables(out, words, rng, bytes * 95 / 100);
  out.resize(bytes);
  return out;
}

class GeneratedFiles final : public FileSource {
 public:
  GeneratedFiles(uint64_t seed, const std::array<uint32_t, kFileRoles>& counts) {
    const Vocabulary words(seed);
    for (size_t role = 0; role < kFileRoles; ++role) {
      for (uint32_t i = 0; i < counts[role]; ++i) add(words, seed, static_cast<FileRole>(role), i);
    }
  }

  const std::vector<FileInfo>& files() const override { return files_; }

  Result<void> read(uint32_t file, uint64_t offset, Bytes out) override {
    const std::string& content = contents_[file];
    const uint64_t available = offset < content.size() ? content.size() - offset : 0;
    const size_t wanted = std::min<uint64_t>(out.size(), available);
    if (wanted > 0) std::memcpy(out.data(), content.data() + offset, wanted);
    std::memset(out.data() + wanted, 0, out.size() - wanted);
    return {};
  }

 private:
  void add(const Vocabulary& words, uint64_t seed, FileRole role, uint32_t number) {
    static constexpr std::string_view kNames[] = {"source", "header", "binary"};
    const auto role_number = static_cast<size_t>(role);
    Rng rng(mix(seed, role_number + 2, number));
    switch (role) {
      case FileRole::kSource:
        contents_.push_back(make_text(words, rng.next(), 8 * kKiB + rng.skewed_below(80'000)));
        break;
      case FileRole::kHeader:
        contents_.push_back(make_text(words, rng.next(), kKiB + rng.skewed_below(23 * 1024)));
        break;
      case FileRole::kBinary:
        contents_.push_back(make_binary(words, rng.next(), kBinaryBytes));
        break;
    }
    files_.push_back({fmt::format("generated/{}-{:05}", kNames[role_number], number),
                      contents_.back().size(), role});
  }

  std::vector<FileInfo> files_;
  std::vector<std::string> contents_;
};

}  // namespace

std::unique_ptr<FileSource> create_generated_files(uint64_t seed,
                                                   const std::array<uint32_t, kFileRoles>& counts) {
  return std::make_unique<GeneratedFiles>(seed, counts);
}

}  // namespace tmem::lab
