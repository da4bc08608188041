// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's totalreserve_pages, which it does not show, from /proc/zoneinfo as the kernel
// computes it: for each zone the largest protection from allocations that prefer a higher zone, and
// the high watermark; at most the zone's managed pages.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Returns 0 or -errno. Of an open /proc/zoneinfo.
int read_reserve_pages(int zoneinfo, uint64_t* pages);

#ifdef __cplusplus
}
#endif
