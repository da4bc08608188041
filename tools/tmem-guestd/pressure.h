// SPDX-License-Identifier: GPL-2.0-or-later
// A trigger of the kernel's PSI: wakes poll() when processes waited for memory for 50 ms within
// half a second. Costs nothing while they do not.
#pragma once

// A file to poll for POLLPRI; -1, having said why, where there is none.
int open_pressure_trigger(const char* root);
