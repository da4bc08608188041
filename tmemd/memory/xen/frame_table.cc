// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/memory/xen/frame_table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>

#include "libtmem/base/assert.h"

namespace tmem::memory::xen {
namespace {

constexpr uint64_t kMagic = 0x6c6f6f706d656d74;  // "tmempool"
constexpr uint64_t kVersion = 1;
constexpr uint32_t kEntriesPerPage = kPageBytes / sizeof(uint64_t);
constexpr uint32_t kHeaderWords = 8;
constexpr uint32_t kDirectoriesMax = kEntriesPerPage - kHeaderWords;

// An entry: the frame in bits 0-39, the check in 40-55, the kind in 56-63. 0: nothing.
enum class Kind : uint64_t { kExtent = 1, kList = 2, kDirectory = 3 };
constexpr unsigned kFrameBits = 40;
constexpr uint64_t kFrameMask = (uint64_t{1} << kFrameBits) - 1;

uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 32);
}

uint64_t encode(Kind kind, uint32_t place, Frame frame, std::span<const uint64_t> list = {}) {
  const auto number = static_cast<uint64_t>(frame);
  TMEM_ASSERT(number <= kFrameMask);
  uint64_t hash = mix(mix(static_cast<uint64_t>(kind), place), number);
  for (const uint64_t word : list) hash = mix(hash, word);
  return static_cast<uint64_t>(kind) << 56 | (hash & 0xffff) << kFrameBits | number;
}

Frame frame_of(uint64_t entry) {
  return Frame{entry & kFrameMask};
}

tl::unexpected<Error> damaged(const std::string& what) {
  return fail(Errc::kMalformed, "the pool domain's frame table is damaged: " + what);
}

std::span<uint64_t> words_of(const FrameMapping& page) {
  return {reinterpret_cast<uint64_t*>(page.bytes().data()), kEntriesPerPage};
}

// An entry is seen whole, and after what was written before it.
void publish(uint64_t& entry, uint64_t value) {
  std::atomic_ref(entry).store(value, std::memory_order_release);
}

struct NewPage {
  Frame frame;
  FrameMapping mapping;
};

// A page of the domain, zeroed.
Result<NewPage> take_page(Hypervisor& hypervisor, DomId domain) {
  std::array<Frame, 1> frame{};
  TMEM_TRY(const size_t count, hypervisor.populate_pages(domain, frame));
  if (count != 1) return fail(Errc::kNoSpace, "Xen has no free page for the pool's frame table");
  auto mapping = FrameMapping::map(hypervisor, domain, frame);
  if (!mapping) return tl::make_unexpected(mapping.error());
  std::memset(mapping->bytes().data(), 0, kPageBytes);
  return NewPage{frame[0], *std::move(mapping)};
}

}  // namespace

struct FrameTable::Root {
  uint64_t magic;
  uint64_t version;
  uint64_t slot_bytes;
  uint64_t check;  // of the words above
  std::array<uint64_t, kHeaderWords - 4> reserved;
  std::array<uint64_t, kDirectoriesMax> directories;  // filled from the front

  uint64_t right_check() const { return mix(mix(mix(0, magic), version), slot_bytes); }
};

FrameTable::FrameTable(Hypervisor& hypervisor, DomId domain, Frame frame, FrameMapping root)
    : hypervisor_(&hypervisor), domain_(domain), root_(std::move(root)), frames_({frame}) {}

FrameTable::Root& FrameTable::root() const {
  static_assert(sizeof(Root) == kPageBytes);
  return *reinterpret_cast<Root*>(root_.bytes().data());
}

uint32_t FrameTable::slots_limit() {
  return kDirectoriesMax * kEntriesPerPage;
}

uint32_t FrameTable::slots() const {
  return static_cast<uint32_t>(directories_.size()) * kEntriesPerPage;
}

Result<FrameTable> FrameTable::create(Hypervisor& hypervisor, DomId domain) {
  TMEM_TRY(NewPage page, take_page(hypervisor, domain));
  FrameTable table(hypervisor, domain, page.frame, std::move(page.mapping));
  Root& root = table.root();
  root.magic = kMagic;
  root.version = kVersion;
  root.slot_bytes = kSlotBytes;
  root.check = root.right_check();
  TMEM_CHECK(hypervisor.set_root(domain, page.frame));
  return table;
}

Result<FrameTable> FrameTable::open(Hypervisor& hypervisor, DomId domain) {
  TMEM_TRY(const Frame frame, hypervisor.root(domain));
  if (frame == Frame{0}) return damaged("there is no root");
  auto page = FrameMapping::map(hypervisor, domain, std::span(&frame, 1));
  if (!page && page.error().code == Errc::kConflict) return damaged("its root is no page of it");
  if (!page) return tl::make_unexpected(page.error());
  FrameTable table(hypervisor, domain, frame, *std::move(page));
  const Root& root = table.root();
  if (root.magic != kMagic || root.check != root.right_check()) return damaged("its root");
  if (root.version != kVersion || root.slot_bytes != kSlotBytes)
    return fail(Errc::kConflict,
                "the pool domain was made by another version of tmemd (table version " +
                    std::to_string(root.version) +
                    "): run that one, or give its memory up with `xl destroy tmem-pool`");
  for (uint32_t i = 0; i < kDirectoriesMax && root.directories[i] != 0; ++i)
    TMEM_CHECK(table.open_directory(i));
  return table;
}

Result<void> FrameTable::open_directory(uint32_t index) {
  const uint64_t word = root().directories[index];
  const Frame frame = frame_of(word);
  const bool known = std::ranges::find(frames_, frame) != frames_.end();
  directories_.emplace_back();
  if (!known && word == encode(Kind::kDirectory, index, frame)) {
    auto page = FrameMapping::map(*hypervisor_, domain_, std::span(&frame, 1));
    if (page) {
      frames_.push_back(frame);
      directories_.back().emplace(*std::move(page));
      return {};
    }
    if (page.error().code != Errc::kConflict) return tl::make_unexpected(page.error());
  }
  return {};
}

Result<void> FrameTable::add_directory(uint32_t index) {
  TMEM_TRY(NewPage page, take_page(*hypervisor_, domain_));
  frames_.push_back(page.frame);
  if (index == directories_.size()) directories_.emplace_back();
  directories_[index].emplace(std::move(page.mapping));
  publish(root().directories[index], encode(Kind::kDirectory, index, page.frame));
  return {};
}

Result<void> FrameTable::grow(uint32_t wanted) {
  TMEM_ASSERT(wanted <= slots_limit());
  for (uint32_t i = 0; i < directories_.size(); ++i)
    if (!directories_[i]) TMEM_CHECK(add_directory(i));
  while (slots() < wanted) TMEM_CHECK(add_directory(static_cast<uint32_t>(directories_.size())));
  return {};
}

uint64_t& FrameTable::entry(uint32_t slot) const {
  TMEM_ASSERT(slot < slots());
  return words_of(*directories_[slot / kEntriesPerPage])[slot % kEntriesPerPage];
}

bool FrameTable::is_whole() const {
  return std::ranges::all_of(directories_, [](const auto& page) { return page.has_value(); });
}

bool FrameTable::is_recorded(uint32_t slot) const {
  return directories_[slot / kEntriesPerPage] && entry(slot) != 0;
}

Result<std::optional<FrameTable::Entry>> FrameTable::read(uint32_t slot) const {
  if (!is_recorded(slot)) return std::nullopt;
  const uint64_t word = entry(slot);
  const Frame first = frame_of(word);
  Entry found;
  found.frames.reserve(kFramesPerSlot);
  if (word == encode(Kind::kExtent, slot, first)) {
    if (static_cast<uint64_t>(first) % kFramesPerSlot != 0) return damaged("an extent's place");
    for (uint64_t i = 0; i < kFramesPerSlot; ++i)
      found.frames.push_back(Frame{static_cast<uint64_t>(first) + i});
    return found;
  }
  if (word >> 56 != static_cast<uint64_t>(Kind::kList)) return damaged("an entry");
  auto page = FrameMapping::map(*hypervisor_, domain_, std::span(&first, 1));
  if (!page && page.error().code == Errc::kConflict) return damaged("a list's place");
  if (!page) return tl::make_unexpected(page.error());
  const auto list = words_of(*page);
  if (word != encode(Kind::kList, slot, first, list)) return damaged("a list");
  for (const uint64_t frame : list) found.frames.push_back(Frame{frame});
  found.list = first;
  return found;
}

Result<void> FrameTable::record(uint32_t slot, std::span<const Frame> frames) {
  TMEM_ASSERT(frames.size() == kFramesPerSlot);
  const auto first = static_cast<uint64_t>(frames[0]);
  uint64_t next = first;
  const bool contiguous = first % kFramesPerSlot == 0 &&
                          std::ranges::all_of(frames, [&](Frame f) { return f == Frame{next++}; });
  if (contiguous) {
    publish(entry(slot), encode(Kind::kExtent, slot, frames[0]));
    return {};
  }
  TMEM_TRY(const NewPage page, take_page(*hypervisor_, domain_));
  const auto list = words_of(page.mapping);
  std::ranges::transform(frames, list.begin(), [](Frame f) { return static_cast<uint64_t>(f); });
  publish(entry(slot), encode(Kind::kList, slot, page.frame, list));
  return {};
}

void FrameTable::clear(uint32_t slot) {
  publish(entry(slot), 0);
}

}  // namespace tmem::memory::xen
