// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's small text files, kept open: opening one allocates, which is slow under pressure.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { kPathMax = 512 };

// `root` stands before each path: "" on a real system. -1 and errno where it cannot be opened.
int open_below(const char* root, const char* path, int flags);

typedef void (*LineFunction)(void* context, const char* line);
// Calls `function` for each line, from the file's beginning. A line of more than 16 KiB is cut in
// two. Returns 0 or -errno.
int for_each_line(int file, LineFunction function, void* context);

// A file that holds one number.
bool read_number(int file, uint64_t* number);
// Returns 0 or -errno.
int write_number(int file, uint64_t number);

#ifdef __cplusplus
}
#endif
