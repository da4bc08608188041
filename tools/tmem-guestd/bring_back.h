// SPDX-License-Identifier: GPL-2.0-or-later
// Reads a byte of each page, so that the kernel takes the pages out of swap. Never writes: a byte
// that is written back could undo what the process wrote meanwhile.
#pragma once
#include "swap_walk.h"

#ifdef __cplusplus
extern "C" {
#endif

// How many were read, without those that could not be; -errno if the process may not be read. Ends
// when `now_us` has reached `until_us`: one page may take as long as tmem_core's persistent_get_ms.
int bring_back_pages(const FoundPages* found, uint64_t (*now_us)(void), uint64_t until_us);

#ifdef __cplusplus
}
#endif
