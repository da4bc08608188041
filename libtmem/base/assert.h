// SPDX-License-Identifier: LGPL-2.1-or-later
// TMEM_ASSERT: our own bug. On in every build. Must be unreachable from guest input.
// TMEM_SLOW_ASSERT: the same for checks that cost more than the code they guard (debug,
// sanitizers).
#pragma once
#include <cstdio>
#include <cstdlib>

#define TMEM_ASSERT(cond)                                                                     \
  do {                                                                                        \
    if (!(cond)) [[unlikely]] {                                                               \
      (void)std::fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #cond); \
      std::abort();                                                                           \
    }                                                                                         \
  } while (false)

#ifdef TMEM_SLOW_CHECKS
#define TMEM_SLOW_ASSERT(cond) TMEM_ASSERT(cond)
#else
#define TMEM_SLOW_ASSERT(cond) \
  do {                         \
  } while (false)
#endif
