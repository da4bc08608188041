// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/memory/memfd.h"

#include <fcntl.h>
#include <linux/mman.h>  // MADV_COLLAPSE
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <mutex>
#include <utility>

#include "libtmem/base/assert.h"

namespace tmem::memory {
namespace {

class Memfd final : public SlotProvider {
 public:
  Memfd(int fd, std::byte* base, uint32_t slots_max, bool populate)
      : fd_(fd),
        base_(base),
        slots_max_(slots_max),
        populate_(populate),
        taken_((slots_max + 63) / 64) {}
  Memfd(const Memfd&) = delete;
  Memfd& operator=(const Memfd&) = delete;
  ~Memfd() override {
    (void)munmap(base_, range_bytes());
    (void)close(fd_);
  }

  std::byte* base() const override { return base_; }
  uint32_t slots_max() const override { return slots_max_; }

  Result<SlotId> acquire() override {
    const std::lock_guard lock(mutex_);
    for (size_t w = 0; w < taken_.size(); ++w) {
      if (taken_[w] == ~uint64_t{0}) continue;
      const uint32_t slot =
          static_cast<uint32_t>(w * 64) + static_cast<uint32_t>(std::countr_one(taken_[w]));
      if (slot >= slots_max_) break;
      if (populate_ && fallocate(fd_, 0, offset_of(slot), kSlotBytes) != 0)
        return fail(Errc::kNoSpace, "the operating system has no memory for another slot");
      taken_[w] |= uint64_t{1} << (slot % 64);
      return SlotId{slot};
    }
    return fail(Errc::kNoSpace, "all slots are taken");
  }

  // One huge page instead of 512 small ones, where the system has it (Linux 6.1), whatever
  // shmem_enabled says. It fills holes, which costs a tenth of copying pages, but wants one page.
  void commit(SlotId slot) override {
    const auto s = static_cast<uint32_t>(slot);
    (void)fallocate(fd_, 0, offset_of(s), kPageBytes);
    if (madvise(base_ + size_t{s} * kSlotBytes, kSlotBytes, MADV_COLLAPSE) != 0)
      (void)fallocate(fd_, 0, offset_of(s), kSlotBytes);
  }

  void release(SlotId slot) override {
    discard(slot, 0, kSlotBytes);
    const std::lock_guard lock(mutex_);
    const auto s = static_cast<uint32_t>(slot);
    TMEM_ASSERT(s < slots_max_ && (taken_[s / 64] >> (s % 64) & 1) != 0);
    taken_[s / 64] &= ~(uint64_t{1} << (s % 64));
  }

  // A punched hole reads as zeroes and is zeroed by the kernel before anyone else gets the page.
  void discard(SlotId slot, size_t offset, size_t bytes) override {
    TMEM_ASSERT(offset + bytes <= kSlotBytes);
    const int punched =
        fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  offset_of(static_cast<uint32_t>(slot)) + static_cast<off_t>(offset),
                  static_cast<off_t>(bytes));
    TMEM_ASSERT(punched == 0);
  }
  bool can_discard() const override { return true; }

  std::vector<SlotId> enumerate() const override {
    const std::lock_guard lock(mutex_);
    std::vector<SlotId> slots;
    for (uint32_t s = 0; s < slots_max_; ++s)
      if ((taken_[s / 64] >> (s % 64) & 1) != 0) slots.push_back(SlotId{s});
    return slots;
  }

  uint64_t resident_bytes() const override {
    struct stat status {};
    TMEM_ASSERT(fstat(fd_, &status) == 0);
    return static_cast<uint64_t>(status.st_blocks) * 512;
  }

 private:
  static off_t offset_of(uint32_t slot) { return static_cast<off_t>(slot) * off_t{kSlotBytes}; }
  size_t range_bytes() const { return size_t{slots_max_} * kSlotBytes; }

  const int fd_;
  std::byte* const base_;
  const uint32_t slots_max_;
  const bool populate_;
  mutable std::mutex mutex_;
  std::vector<uint64_t> taken_;  // one bit a slot, under mutex_
};

// Maps the file at a multiple of a slot's size, so that a slot can be one huge page. MAP_FAILED on
// error.
void* map_aligned(int fd, size_t bytes) {
  const size_t range_bytes = bytes + kSlotBytes;
  void* range =
      mmap(nullptr, range_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return range;
  auto* const start = static_cast<std::byte*>(range);
  const size_t head_bytes = -reinterpret_cast<uintptr_t>(start) % kSlotBytes;
  if (head_bytes != 0) (void)munmap(start, head_bytes);
  (void)munmap(start + head_bytes + bytes, kSlotBytes - head_bytes);
  void* base = mmap(start + head_bytes, bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
  if (base == MAP_FAILED) (void)munmap(start + head_bytes, bytes);
  return base;
}

}  // namespace

Result<std::unique_ptr<SlotProvider>> create_memfd_provider(const MemfdOptions& options) {
  const uint64_t slots = (options.bytes_max + kSlotBytes - 1) / kSlotBytes;
  if (slots == 0 || slots > UINT32_MAX / 2)
    return fail(Errc::kMalformed, "a memfd pool needs a size between 2 MiB and 4 PiB");
  const size_t bytes = slots * kSlotBytes;
  const int fd = memfd_create("tmem-pool", MFD_CLOEXEC);
  if (fd < 0) return fail_os("memfd_create");
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    const int error = errno;
    (void)close(fd);
    return fail_os("cannot size the pool's memfd", error);
  }
  void* base = map_aligned(fd, bytes);
  if (base == MAP_FAILED) {
    const int error = errno;
    (void)close(fd);
    return fail_os("cannot map the pool's memfd", error);
  }
  // Only an advice: huge pages make random gets cheaper where the system allows them for shmem.
  (void)madvise(base, bytes, MADV_HUGEPAGE);
  return std::make_unique<Memfd>(fd, static_cast<std::byte*>(base), static_cast<uint32_t>(slots),
                                 options.populate);
}

}  // namespace tmem::memory
