// SPDX-License-Identifier: GPL-2.0-or-later
// Reads a byte of each page, so that the kernel takes the pages out of swap. Never writes: a byte
// that is written back could undo what the process wrote meanwhile.
#pragma once
#include "swap_walk.h"

#ifdef __cplusplus
extern "C" {
#endif

// How many were read, without those that could not be; -errno if the process may not be read.
int bring_back_pages(const FoundPages* found);

#ifdef __cplusplus
}
#endif
