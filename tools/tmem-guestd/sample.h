// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel says of this machine's memory. Sizes in KiB; counters since boot.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint64_t uptime_ms;
  uint64_t total_kib, free_kib, available_kib, cache_kib, anon_kib, committed_kib, reserve_kib;
  uint64_t swap_used_kib, swap_free_kib;
  uint64_t refault_pages;
  uint64_t swap_in_pages, swap_out_pages;
  uint64_t back_pages;  // that this agent brought back; it knows, the kernel does not
  bool has_pressure;
  uint64_t some_us, full_us;
} GuestSample;

// Where samples come from: files of /proc, kept open; -1: there is none.
typedef struct {
  int meminfo, vmstat, zoneinfo, uptime, pressure;
  uint64_t reserve_kib;
  uint64_t reserve_read_ms;  // by uptime
} SampleSource;

// Says what is missing. False if there is nothing to report without it.
bool open_samples(SampleSource* source, const char* root);
// False, with `lacking` set to what was not to be found, where no report can be made.
bool read_sample(SampleSource* source, GuestSample* sample, const char** lacking);
// Its some_us alone. False without PSI.
bool read_some(const SampleSource* source, uint64_t* some_us);

#ifdef __cplusplus
}
#endif
