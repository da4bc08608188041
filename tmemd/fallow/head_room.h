// SPDX-License-Identifier: GPL-2.0-or-later
// The memory that the pool leaves free in Xen, so that a guest starts without asking.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tmem::fallow {

struct HeadRoom {
  enum class Kind { kAuto, kBytes, kPercent };
  Kind kind = Kind::kAuto;  // 5 %, or room for the largest guest configured on this host
  uint64_t value = 0;       // bytes, or percent of the host's memory
};

// Never more than half of the host's memory, but for an explicit number of bytes.
// `largest_bytes`, of the guests, is used with kAuto only; 0: none is known.
uint64_t head_room_bytes(const HeadRoom& head_room, uint64_t host_bytes, uint64_t largest_bytes);

// What starting a guest with this configuration file of xl takes from Xen: its `memory`, and what
// Xen keeps about it. Nothing when the text has no such line.
std::optional<uint64_t> guest_bytes(std::string_view xl_config);

// The largest of all guests configured by files in these directories, and not below; 0 when
// are none. Files that cannot be read, or are no configuration, do not count.
uint64_t largest_guest_bytes(const std::vector<std::string>& directories);

}  // namespace tmem::fallow
