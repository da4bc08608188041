// SPDX-License-Identifier: GPL-2.0-or-later
// How much more memory a process's control groups allow it. Pages that come back are charged to
// them: at a limit they would push others out, or have one of the group killed.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The least of all its groups, a tenth of each limit kept free; the largest number without a limit.
// 0 where it cannot be known: in version 1 of control groups.
uint64_t cgroup_room_bytes(const char* root, int pid);

#ifdef __cplusplus
}
#endif
