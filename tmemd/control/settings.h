// SPDX-License-Identifier: GPL-2.0-or-later
// What a client's settings may be; the same for the configuration file and the control socket.
#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tmemd/store/types.h"

namespace tmem::control {

inline constexpr uint64_t kWeightMax = 1'000'000;
inline constexpr uint64_t kMemoryMaxBytes = 64 * 1024 * kGiB;
inline constexpr uint64_t kMemoryMinBytes = 4 * kMiB;
inline constexpr size_t kGroupNameBytesMax = 64;

inline constexpr std::pair<std::string_view, store::DedupScope> kDedupWords[] = {
    {"none", store::DedupScope::kNone},
    {"client", store::DedupScope::kClient},
    {"group", store::DedupScope::kGroup},
    {"host", store::DedupScope::kHost}};

inline bool is_group_name(std::string_view name) {
  return !name.empty() && name.size() <= kGroupNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace tmem::control
