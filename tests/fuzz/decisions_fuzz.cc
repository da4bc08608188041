// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes -> a decision log that is replayed. It is read by tools, from files that anybody may have
// changed: a log is refused with a line's number, or replayed.
#include <sstream>

#include "libtmem/base/assert.h"
#include "policy/decision_log.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tmem;
  std::istringstream log(std::string(reinterpret_cast<const char*>(data), size));
  const auto result = policy::replay(log);
  if (result)
    TMEM_ASSERT(result->different <= result->ticks && result->ticks <= result->lines);
  else
    TMEM_ASSERT(result.error().code == Errc::kMalformed &&
                result.error().message.starts_with("line "));
  return 0;
}
