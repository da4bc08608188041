// SPDX-License-Identifier: GPL-2.0-or-later
// Where the pool's memory comes from: slots of 2 MiB at fixed places of one address range.
//
// The store knows memory only through this interface, so that it can live in a memfd (memfd.h) or
// in memory that Xen owns. Slots outlive the process where the implementation can keep them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "libtmem/base/result.h"
#include "libtmem/base/units.h"

namespace tmem::memory {

inline constexpr size_t kSlotBytes = 2 * kMiB;

enum class SlotId : uint32_t {};

// Thread safety: every call from any thread.
class SlotProvider {
 public:
  virtual ~SlotProvider() = default;

  // Start of the range. Slot i is at base() + i * kSlotBytes once acquired, for ever.
  virtual std::byte* base() const = 0;
  // Slots there can ever be: ids are 0 .. slots_max()-1.
  virtual uint32_t slots_max() const = 0;

  // A zeroed slot, the lowest free id. Errors: kNoSpace when all are taken or the OS refuses.
  virtual Result<SlotId> acquire() = 0;
  // Has an acquired slot's memory committed and mapped in large pages, so that whoever uses it
  // first does not wait for that. Contents stay. Takes milliseconds; may do nothing.
  virtual void commit(SlotId slot) = 0;
  // Gives a slot back to its owner, zeroed before anyone else can see it.
  virtual void release(SlotId slot) = 0;
  // Tells that bytes [offset, offset + bytes) of an acquired slot hold nothing: they may be given
  // back and read as zeroes later. Page-aligned. An implementation may do nothing.
  virtual void discard(SlotId slot, size_t offset, size_t bytes) = 0;
  // False when discard() never gives anything back.
  virtual bool can_discard() const { return true; }

  // The slots that are acquired, ascending: after a restart, those a predecessor left.
  virtual std::vector<SlotId> enumerate() const = 0;
  // Bytes that the provider's owner (OS or hypervisor) has really committed.
  virtual uint64_t resident_bytes() const = 0;
};

}  // namespace tmem::memory
