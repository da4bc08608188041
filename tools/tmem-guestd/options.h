// SPDX-License-Identifier: GPL-2.0-or-later
// The command line.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  const char* root;    // before /proc, /sys, /dev and /run
  const char* xenbus;  // NULL: the first of /dev/xen/xenbus and /proc/xen/xenbus that is there
  bool once;
  uint32_t heartbeat_ms;
  uint32_t shrink_mib_per_s;  // 0: no self-shrinking
} Options;

// -1: go on. Otherwise the program's exit status.
int parse_options(int argc, char** argv, Options* options);
