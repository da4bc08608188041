// SPDX-License-Identifier: GPL-2.0-or-later
// Must fail: shows that a crash in a fuzz target fails its test. The bug needs coverage feedback
// to be found, so it shows too that the instrumentation works.
#include <cstddef>
#include <cstdint>

#include "libtmem/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  if (bytes > 3 && data[0] == 'T')
    if (data[1] == 'M')
      if (data[2] == 'E') TMEM_ASSERT(data[3] != 'M');
  return 0;
}
