// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest says of its memory: one node of text in xenstore, written by its agent. The text is
// hostile until parse_report() made a Sample of it, and a Sample is still only the guest's word.
//
//   1 seq=17 up_ms=81234 total_kib=262144 free_kib=20480 avail_kib=80000 cache_kib=70000
//   anon_kib=90000 commit_kib=140000 reserve_kib=9000 swap_kib=0 refault=120 swapin=0
//   some_us=1200 full_us=300                                                     (all in one line)
//
// The first word is the version. Then key=value in any order, separated by one space; decimal, no
// sign; keys that are not known are ignored. some_us and full_us are left out, both, where the
// kernel has no PSI; swap_free_kib, urgent (how often the PSI trigger fired) and mode (1: the guest
// sets its own balloon) may be left out; every other key is required. Lower-case letters, digits,
// '_' and '=' only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "libtmem/base/result.h"

namespace tmem::policy {

inline constexpr size_t kReportBytesMax = 512;
inline constexpr uint32_t kReportVersion = 1;

// /proc/pressure/memory: the time in which some task, or all, waited for memory, since boot.
struct Pressure {
  uint64_t some_us = 0;
  uint64_t full_us = 0;
};

// Sizes are at most 2^54 bytes, so that sums of a host's guests fit into 64 bits.
struct Sample {
  uint64_t sequence = 0;  // grows by one with each report of an agent
  uint64_t uptime_ms = 0;
  uint64_t total_bytes = 0;      // MemTotal
  uint64_t free_bytes = 0;       // MemFree
  uint64_t available_bytes = 0;  // MemAvailable
  uint64_t cache_bytes = 0;      // Buffers + Cached
  uint64_t anon_bytes = 0;       // AnonPages
  uint64_t committed_bytes = 0;  // Committed_AS
  uint64_t reserve_bytes = 0;    // the kernel's totalreserve_pages
  uint64_t swap_used_bytes = 0;  // SwapTotal - SwapFree
  std::optional<uint64_t> swap_free_bytes;
  uint64_t refault_pages = 0;    // workingset_refault_file, since boot
  uint64_t swap_in_pages = 0;    // pswpin, since boot
  uint64_t urgent = 0;           // how often its PSI trigger fired
  bool balloons_itself = false;  // it is in mode `guest`
  std::optional<Pressure> pressure;
};

// Errors: kMalformed; the message names the key. Never longer than a line.
Result<Sample> parse_report(std::string_view text);
// The text of a sample, as an agent writes it; sizes are rounded down to KiB.
std::string format_report(const Sample& sample);

}  // namespace tmem::policy
