// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the pool domain of a predecessor and what it holds, or makes a domain.
//
// Slots that the frame table records are mapped where they were, contents as they were. Frames that
// nothing names (orphans: a predecessor ended between two steps) are zeroed and given back to Xen.
// Nothing that is read from the domain is believed: what is damaged is given back too.
#pragma once
#include <string>
#include <vector>

#include "tmemd/memory/xen/frame_table.h"

namespace tmem::memory::xen {

// What was found. `warnings`: full sentences for the log.
struct RecoveryReport {
  bool found = false;          // a predecessor's domain
  bool table_lost = false;     // its table was no longer readable: all its memory was given back
  uint32_t slots = 0;          // mapped again
  uint32_t damaged_slots = 0;  // recorded, but not believable: given back
  uint64_t orphan_bytes = 0;   // given back
  std::vector<std::string> warnings;
};

struct Recovered {
  DomId domain{};
  FrameTable table;
  AddressRange range;  // slots_max slots
  uint32_t slots_max = 0;
  std::vector<uint32_t> slots;  // mapped, ascending
  RecoveryReport report;
};

// `slots`: as many as the pool may have; a predecessor's higher ones are kept all the same.
// `mappings_max`: mappings that this process may have for slots.
Result<Recovered> recover_or_create(Hypervisor& hypervisor, const Uuid& handle, uint32_t slots,
                                    uint64_t mappings_max);

}  // namespace tmem::memory::xen
