// SPDX-License-Identifier: LGPL-2.1-or-later
// How people write sizes, durations and UUIDs: one spelling for configuration, control socket and
// command line.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "libtmem/base/units.h"

namespace tmem {

// "512M", "2g", "65536k", "4096b", "1t"; no suffix means MiB, as for xl's memory=. The units are
// binary. Empty when it is not a whole number with at most one such suffix, or over 2^63.
std::optional<uint64_t> parse_size_bytes(std::string_view text);

// "500ms", "2s", "5m", "1h"; no suffix means seconds. At most a year. Empty as above.
std::optional<uint64_t> parse_duration_ms(std::string_view text);

// A whole decimal number up to `max`, nothing else around it.
std::optional<uint64_t> parse_number(std::string_view text, uint64_t max = UINT64_MAX);

// 32 hexadecimal digits of either case, with hyphens at the canonical places or without any.
std::optional<Uuid> parse_uuid(std::string_view text);

// "8b5e0f6e-1c3a-4e7e-9f60-0242ac120002".
std::string format_uuid(const Uuid& uuid);

// The shortest exact spelling that parse_size_bytes reads: "512M", "6k", "4097b".
std::string format_size(uint64_t bytes);

}  // namespace tmem
