// SPDX-License-Identifier: GPL-2.0-or-later
// A machine's memory as Xen keeps it: frames, their owners, claims, and who has what mapped.
//
// As on Xen, released frames are not scrubbed, a frame is not free before nobody has it mapped, and
// a mapping ends whole or not at all. A process (FakeHypervisor) may crash before any of its calls,
// or at the end of one that changes something: from then on nothing that it does has an effect.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "libtmem/base/assert.h"
#include "libtmem/base/mapping.h"
#include "libtmem/base/unique_fd.h"
#include "tmemd/memory/xen/hypervisor.h"

namespace tmem::memory::xen {

struct Crash {};

// Thread safety: all methods from any thread, but what hands out memory.
class FakeXen final : public HostMemory {
 public:
  static constexpr std::byte kGarbage{0xa5};  // what frames hold before anyone wrote to them
  static constexpr size_t kExtentFrames = 512;

  explicit FakeXen(size_t extents)
      : frames_(extents * kExtentFrames), fd_(memfd_create("fake-xen", MFD_CLOEXEC)) {
    TMEM_ASSERT(ftruncate(fd_.get(), static_cast<off_t>(memory_bytes())) == 0);
    memory_ = Mapping::shared(fd_.get(), memory_bytes()).value();
    std::ranges::fill(memory_.bytes(), kGarbage);
    // Frame 0 is nobody's, so the first extent is never whole.
    frames_[0].owner = kXen;
  }

  Result<HostMemoryInfo> read() const override {
    const std::lock_guard lock(mutex_);
    return HostMemoryInfo{.total_bytes = memory_bytes(),
                          .free_bytes = free_locked() * kPageBytes,
                          .claimed_bytes = claimed_bytes};
  }
  uint64_t free_pages() const {
    const std::lock_guard lock(mutex_);
    return free_locked();
  }
  size_t domains() const {
    const std::lock_guard lock(mutex_);
    return domains_.size();
  }
  uint64_t owned_pages(DomId id) const {
    const std::lock_guard lock(mutex_);
    return owned_locked(id).size();
  }
  Frame root(DomId id) const {
    const std::lock_guard lock(mutex_);
    return domains_.at(id).root;
  }
  void set_root(DomId id, Frame root) {
    const std::lock_guard lock(mutex_);
    domains_.at(id).root = root;
  }
  std::span<std::byte> page(Frame frame) const {
    return memory_.bytes().subspan(static_cast<size_t>(frame) * kPageBytes, kPageBytes);
  }
  uint64_t* words(Frame frame) const { return reinterpret_cast<uint64_t*>(page(frame).data()); }

  // Somebody else's domain takes a page of each free extent: no 2 MiB are contiguous then.
  void fragment() {
    const std::lock_guard lock(mutex_);
    for (size_t first = 0; first < frames_.size(); first += kExtentFrames)
      if (frames_[first].owner == kNobody) frames_[first].owner = kXen;
  }
  void heal() {
    const std::lock_guard lock(mutex_);
    for (size_t i = 1; i < frames_.size(); ++i)
      if (frames_[i].owner == kXen) frames_[i].owner = kNobody;
  }
  // Takes all but so many pages.
  void fill_up(uint64_t pages_left) {
    const std::lock_guard lock(mutex_);
    uint64_t left = free_locked();
    for (FrameState& frame : frames_) {
      if (left <= pages_left) return;
      if (frame.owner != kNobody) continue;
      frame.owner = kXen;
      --left;
    }
  }
  void give(DomId id, size_t pages) {  // a process died before it could record them
    const std::lock_guard lock(mutex_);
    for (FrameState& frame : frames_) {
      if (pages == 0) return;
      if (frame.owner != kNobody) continue;
      frame.owner = id;
      --pages;
    }
  }
  void destroy(DomId id) {
    const std::lock_guard lock(mutex_);
    destroy_locked(id);
  }

  std::atomic<uint64_t> claimed_bytes{0};
  uint64_t dirty_returns = 0;  // frames that became free with anything but zeroes in them
  uint64_t partial_unmaps = 0;
  // Before each call of a process: false when the process ends there.
  std::function<bool(const char* call)> on_call;

 private:
  friend class FakeHypervisor;
  static constexpr DomId kNobody{0};
  static constexpr DomId kXen{0x7fff};

  struct FrameState {
    DomId owner = kNobody;
    unsigned mapped = 0;
    bool released = false;
  };
  struct Domain {
    Uuid handle{};
    Frame root{};
    uint64_t pages_max = 0;
    bool dying = false;
  };

  size_t memory_bytes() const { return frames_.size() * kPageBytes; }
  uint64_t free_locked() const {
    return static_cast<uint64_t>(std::ranges::count(frames_, kNobody, &FrameState::owner));
  }
  std::vector<Frame> owned_locked(DomId id) const {
    std::vector<Frame> owned;
    for (size_t i = 0; i < frames_.size(); ++i)
      if (frames_[i].owner == id) owned.push_back(Frame{i});
    return owned;
  }
  FrameState& state(Frame frame) { return frames_.at(static_cast<size_t>(frame)); }

  void end_locked(Frame frame) {
    FrameState& s = state(frame);
    const auto found = domains_.find(s.owner);
    if (found != domains_.end() && found->second.dying) std::ranges::fill(page(frame), std::byte{});
    static constexpr std::array<std::byte, kPageBytes> kZeroes{};
    if (std::memcmp(page(frame).data(), kZeroes.data(), kPageBytes) != 0) ++dirty_returns;
    s = FrameState{};
  }
  // After frames ended: a dying domain goes with its last one.
  void erase_dead_locked() {
    std::erase_if(domains_, [this](const auto& entry) {
      return entry.second.dying && owned_locked(entry.first).empty();
    });
  }
  void unmap_locked(const std::vector<Frame>& frames) {
    for (const Frame frame : frames) {
      FrameState& s = state(frame);
      const auto found = domains_.find(s.owner);
      const bool dying = found != domains_.end() && found->second.dying;
      if (--s.mapped == 0 && (s.released || dying)) end_locked(frame);
    }
    erase_dead_locked();
  }
  void destroy_locked(DomId id) {
    domains_.at(id).dying = true;
    for (const Frame frame : owned_locked(id))
      if (state(frame).mapped == 0) end_locked(frame);
    erase_dead_locked();
  }

  mutable std::mutex mutex_;
  std::vector<FrameState> frames_;
  UniqueFd fd_;
  Mapping memory_;
  std::map<DomId, Domain> domains_;
  uint16_t last_id_ = 0;
};

// A process of domain 0; what it has mapped ends with it.
class FakeHypervisor final : public Hypervisor {
 public:
  explicit FakeHypervisor(FakeXen& xen) : xen_(xen) {}
  FakeHypervisor(const FakeHypervisor&) = delete;
  FakeHypervisor& operator=(const FakeHypervisor&) = delete;
  ~FakeHypervisor() override {
    const std::lock_guard lock(xen_.mutex_);
    for (const auto& [place, frames] : mappings_) xen_.unmap_locked(frames);
  }

  Result<std::optional<DomId>> find(const Uuid& handle) override {
    const auto lock = enter("find");
    for (const auto& [id, domain] : xen_.domains_)
      if (domain.handle == handle && !domain.dying) return id;
    return std::nullopt;
  }
  Result<DomId> create(const Uuid& handle) override {
    auto lock = enter("create");
    const DomId id{++xen_.last_id_};
    xen_.domains_[id].handle = handle;
    leave(lock, "create done");
    return id;
  }
  Result<void> destroy(DomId id) override {
    auto lock = enter("destroy");
    xen_.destroy_locked(id);
    leave(lock, "destroy done");
    return {};
  }
  Result<bool> is_alive(DomId id, const Uuid& handle) override {
    const auto lock = enter("is_alive");
    const auto found = xen_.domains_.find(id);
    return found != xen_.domains_.end() && !found->second.dying && found->second.handle == handle;
  }
  Result<void> set_pages_max(DomId id, uint64_t pages) override {
    const auto lock = enter("set_pages_max");
    xen_.domains_.at(id).pages_max = pages;
    return {};
  }
  Result<uint64_t> owned_pages(DomId id) override {
    const auto lock = enter("owned_pages");
    return xen_.owned_locked(id).size();
  }
  Result<std::vector<Frame>> owned_frames(DomId id) override {
    const auto lock = enter("owned_frames");
    return xen_.owned_locked(id);
  }
  Result<uint64_t> frames_end() override { return xen_.frames_.size(); }
  Result<Frame> root(DomId id) override {
    const auto lock = enter("root");
    return xen_.domains_.at(id).root;
  }
  Result<void> set_root(DomId id, Frame root) override {
    auto lock = enter("set_root");
    xen_.domains_.at(id).root = root;
    leave(lock, "set_root done");
    return {};
  }

  Result<Frame> populate_extent(DomId id) override {
    auto lock = enter("populate_extent");
    if (xen_.domains_.at(id).dying) return fail(Errc::kOs, "it is dying");
    constexpr size_t kExtent = FakeXen::kExtentFrames;
    if (xen_.owned_locked(id).size() + kExtent > xen_.domains_.at(id).pages_max)
      return fail(Errc::kNoSpace, "the domain's maximum");
    for (size_t first = 0; first < xen_.frames_.size(); first += kExtent) {
      const std::span extent = std::span(xen_.frames_).subspan(first, kExtent);
      if (!std::ranges::all_of(extent, [](const auto& f) { return f.owner == FakeXen::kNobody; }))
        continue;
      for (auto& frame : extent) frame.owner = id;
      leave(lock, "populate_extent done");
      return Frame{first};
    }
    return fail(Errc::kNoSpace, "no extent");
  }
  Result<size_t> populate_pages(DomId id, std::span<Frame> frames) override {
    auto lock = enter("populate_pages");
    if (xen_.domains_.at(id).dying) return fail(Errc::kOs, "it is dying");
    size_t count = 0;
    const uint64_t pages_max = xen_.domains_.at(id).pages_max;
    uint64_t owned = xen_.owned_locked(id).size();
    // From the end, so that extents stay whole.
    for (size_t i = xen_.frames_.size(); i-- > 0 && count < frames.size() && owned < pages_max;) {
      if (xen_.frames_[i].owner != FakeXen::kNobody) continue;
      xen_.frames_[i].owner = id;
      frames[count++] = Frame{i};
      ++owned;
    }
    leave(lock, "populate_pages done");
    return count;
  }
  Result<void> release(DomId id, std::span<const Frame> frames) override {
    auto lock = enter("release");
    if (release_fails) return fail(Errc::kOs, "Xen takes nothing back");
    for (const Frame frame : frames) {
      auto& state = xen_.state(frame);
      if (state.owner != id || state.released) return fail(Errc::kOs, "not the domain's");
      state.released = true;
      if (state.mapped == 0) xen_.end_locked(frame);
    }
    xen_.erase_dead_locked();
    leave(lock, "release done");
    return {};
  }

  Result<void> map(DomId id, std::span<const Frame> frames, std::byte* place) override {
    const auto lock = enter("map");
    if (map_fails) return fail(Errc::kOs, "no memory for page tables");
    const auto domain = xen_.domains_.find(id);
    const bool dying = domain == xen_.domains_.end() || domain->second.dying;
    for (const Frame frame : frames)
      if (dying || static_cast<uint64_t>(frame) >= xen_.frames_.size() ||
          xen_.state(frame).owner != id)
        return fail(Errc::kConflict, "a frame is not the domain's");
    for (size_t i = 0; i < frames.size();) {
      size_t run = 1;
      while (i + run < frames.size() &&
             static_cast<uint64_t>(frames[i + run]) == static_cast<uint64_t>(frames[i]) + run)
        ++run;
      TMEM_ASSERT(mmap(place + i * kPageBytes, run * kPageBytes, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_FIXED, xen_.fd_.get(),
                       static_cast<off_t>(static_cast<size_t>(frames[i]) * kPageBytes)) !=
                  MAP_FAILED);
      i += run;
    }
    for (const Frame frame : frames) ++xen_.state(frame).mapped;
    mappings_[place].assign(frames.begin(), frames.end());
    return {};
  }
  // Destructors call it: a crash has no effect here, and ends the process at its next call.
  Result<void> unmap(std::byte* place, size_t bytes) override {
    if (!crashed_ && xen_.on_call) crashed_ = !xen_.on_call("unmap");
    if (crashed_) return {};
    const std::lock_guard lock(xen_.mutex_);
    const auto found = mappings_.find(place);
    if (found == mappings_.end() || found->second.size() * kPageBytes != bytes) {
      ++xen_.partial_unmaps;
      return fail(Errc::kOs, "part of a mapping");
    }
    TMEM_ASSERT(mmap(place, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
                place);
    xen_.unmap_locked(found->second);
    mappings_.erase(found);
    return {};
  }

  bool map_fails = false;
  bool release_fails = false;

 private:
  std::unique_lock<std::mutex> enter(const char* call) {
    if (!crashed_ && xen_.on_call) crashed_ = !xen_.on_call(call);
    if (crashed_) throw Crash{};
    return std::unique_lock(xen_.mutex_);
  }
  // What a call has changed may be the last that the process does.
  void leave(std::unique_lock<std::mutex>& lock, const char* call) {
    lock.unlock();
    if (xen_.on_call) crashed_ = !xen_.on_call(call);
    if (crashed_) throw Crash{};
  }

  FakeXen& xen_;
  std::map<std::byte*, std::vector<Frame>> mappings_;
  bool crashed_ = false;
};

}  // namespace tmem::memory::xen
