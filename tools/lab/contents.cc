// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/contents.h"

#include <algorithm>
#include <cstring>

#include "tools/lab/rng.h"

namespace tmem::lab {
namespace {

constexpr uint64_t kProgramBytes =
    192 * kKiB;                      // of a binary that stands for a part of the compiler
constexpr uint32_t kCodeFiles = 48;  // binaries that outputs are cut out of

uint32_t compiler_files(const Parameters& parameters, const Model& model) {
  const uint64_t bytes = model.build.compiler_kib * kKiB / parameters.scale;
  return static_cast<uint32_t>((bytes + kProgramBytes - 1) / kProgramBytes);
}

// Slots are numbered through; a slot is the same file in all guests, or one of its own in each.
class Slots {
 public:
  Slots(const Parameters& parameters, uint32_t guests, uint32_t guest)
      : parameters_(parameters), guests_(guests), guest_(guest) {}
  bool shared(FileRole role, uint32_t slot) const {
    const uint64_t draw = mix(parameters_.seed, 100 + static_cast<uint64_t>(role), slot);
    return draw % 100 < parameters_.overlap_percent;
  }
  uint32_t position(FileRole role, uint32_t slot) const {
    return slot * guests_ + (shared(role, slot) ? 0 : guest_);
  }

 private:
  const Parameters& parameters_;
  uint32_t guests_;
  uint32_t guest_;
};

}  // namespace

std::array<uint32_t, kFileRoles> files_needed(const Parameters& parameters, const Model& model) {
  const uint32_t copies = model.host.guests * model.build.trees;
  return {copies * (model.build.jobs / parameters.scale),
          copies * (model.build.headers / parameters.scale),
          model.host.guests * compiler_files(parameters, model) + kCodeFiles};
}

Result<std::unique_ptr<Contents>> Contents::create(FileSource& source, const Parameters& parameters,
                                                   const Model& model) {
  std::unique_ptr<Contents> contents(new Contents(source));
  const auto& files = source.files();
  for (uint32_t i = 0; i < files.size(); ++i) {
    contents->by_role_[static_cast<size_t>(files[i].role)].push_back(i);
  }
  const auto needed = files_needed(parameters, model);
  for (size_t role = 0; role < kFileRoles; ++role) {
    auto& have = contents->by_role_[role];
    if (have.size() < needed[role]) {
      return fail(Errc::kMalformed, "the manifest has too few files for this --scale");
    }
    // Independent of the order in which the files were found.
    std::ranges::sort(have, [&](uint32_t a, uint32_t b) { return files[a].path < files[b].path; });
    Rng rng(mix(parameters.seed, 200 + role));
    for (uint32_t i = static_cast<uint32_t>(have.size()); i > 1; --i) {
      std::swap(have[i - 1], have[rng.below(i)]);
    }
  }
  TMEM_CHECK(contents->load_code(parameters, model));
  contents->assign(parameters, model);
  return contents;
}

Result<void> Contents::load_code(const Parameters& parameters, const Model& model) {
  const uint32_t first = model.host.guests * compiler_files(parameters, model);
  code_.resize(kCodeFiles * kProgramBytes);
  for (uint32_t i = 0; i < kCodeFiles; ++i) {
    TMEM_CHECK(source_.read(by_role_[2][first + i], 0,
                            Bytes(code_).subspan(i * kProgramBytes, kProgramBytes)));
  }
  return {};
}

void Contents::assign(const Parameters& parameters, const Model& model) {
  for (uint32_t guest = 0; guest < model.host.guests; ++guest) {
    guests_.push_back(files_of_guest(parameters, model, guest));
  }
}

GuestFiles Contents::files_of_guest(const Parameters& parameters, const Model& model,
                                    uint32_t guest) const {
  const Slots slots(parameters, model.host.guests, guest);
  const auto file = [&](FileRole role, uint32_t slot) {
    const uint32_t id = by_role_[static_cast<size_t>(role)][slots.position(role, slot)];
    return ContentRef{ContentKind::kFile, id, source_.files()[id].bytes};
  };
  const uint32_t architecture = guest < model.host.guests / 2 ? 32 : 64;
  const uint32_t jobs = model.build.jobs / parameters.scale;
  const uint32_t headers = model.build.headers / parameters.scale;
  GuestFiles result;
  for (uint32_t slot = 0; slot < compiler_files(parameters, model); ++slot) {
    ContentRef ref = file(FileRole::kBinary, slot);
    ref.bytes = std::min(ref.bytes, kProgramBytes);
    result.compiler.push_back(ref);
  }
  for (uint32_t tree = 0; tree < model.build.trees; ++tree) {
    TreeFiles files;
    for (uint32_t job = 0; job < jobs; ++job) {
      const ContentRef source = file(FileRole::kSource, tree * jobs + job);
      files.jobs.push_back({source, mix(parameters.seed + architecture, 300, source.id)});
    }
    for (uint32_t header = 0; header < headers; ++header) {
      files.headers.push_back(file(FileRole::kHeader, tree * headers + header));
    }
    result.trees.push_back(std::move(files));
  }
  return result;
}

Result<void> Contents::file_page(const ContentRef& ref, uint32_t index, Page out) {
  const uint64_t offset = uint64_t{index} * kPageBytes;
  if (ref.kind == ContentKind::kFile) {
    // ref.bytes may be less than the file: the tail of the last page is then zero.
    const uint64_t wanted = std::min<uint64_t>(kPageBytes, ref.bytes - std::min(ref.bytes, offset));
    TMEM_CHECK(source_.read(static_cast<uint32_t>(ref.id), offset, out.first(wanted)));
    std::ranges::fill(out.subspan(wanted), std::byte{0});
    return {};
  }
  // Any byte offset, so that pages of two outputs are equal only if the outputs are.
  const uint64_t start = (mix(ref.id) + offset) % (code_.size() - kPageBytes);
  std::memcpy(out.data(), code_.data() + start, kPageBytes);
  const uint64_t used = std::min<uint64_t>(kPageBytes, ref.bytes - std::min(ref.bytes, offset));
  std::memset(out.data() + used, 0, kPageBytes - used);
  return {};
}

void Contents::anonymous_page(uint64_t name, uint32_t version, Page out) const {
  Rng rng(mix(name, version, 400));
  const uint32_t kind = rng.below(100);
  const uint64_t heap = 0x0000'5555'0000'0000ull + ((name & 0xffff) << 12);
  std::byte* at = out.data();
  std::byte* const end = out.data() + kPageBytes;
  if (kind < 12) {  // allocated and never written
    std::memset(at, 0, kPageBytes);
    return;
  }
  // Records of 64 bytes: pointers, small numbers, zeroes; every fourth holds text of a binary.
  for (; at < end; at += 64) {
    uint64_t words[8];
    const uint64_t shape = rng.next();
    for (uint32_t i = 0; i < 8; ++i) {
      const uint64_t draw = rng.next();
      switch ((shape >> (4 * i)) & 7) {
        case 0:
        case 1:
          words[i] = heap + (draw & 0xfffff0);
          break;
        case 2:
        case 3:
          words[i] = draw & 0xff;
          break;
        default:
          words[i] = 0;
          break;
      }
    }
    std::memcpy(at, words, sizeof words);
    if ((shape >> 62) == 0) {
      std::memcpy(at + 16, code_.data() + (shape >> 8) % (code_.size() - 64), 48);
    }
  }
}

}  // namespace tmem::lab
