// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers that the agent keeps in /run for its next start.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

bool load_kept(const char* root, const char* name, uint64_t* number);
// False, and errno.
bool keep(const char* root, const char* name, uint64_t number);
void forget_kept(const char* root, const char* name);

#ifdef __cplusplus
}
#endif
