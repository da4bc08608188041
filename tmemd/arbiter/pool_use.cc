// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/pool_use.h"

#include <algorithm>

namespace tmem::arbiter {

policy::PoolUse pool_use_of(const store::ClientStats& client) {
  policy::PoolUse use;
  use.has_client = true;
  const store::ClientCounters& counters = client.counters;
  use.ephemeral_pages = client.pages[static_cast<size_t>(store::Kind::kEphemeral)];
  use.persistent_pages = client.pages[static_cast<size_t>(store::Kind::kPersistent)];
  for (const uint64_t bytes : client.charged_bytes) use.charged_bytes += bytes;
  use.persistent_puts = counters.persistent_puts;
  use.persistent_gets = counters.persistent_hits;
  use.ephemeral_puts = counters.puts_ok - std::min(counters.puts_ok, counters.persistent_puts);
  use.ephemeral_hits = counters.hits - std::min(counters.hits, counters.persistent_hits);
  use.ephemeral_misses = counters.ephemeral_misses;
  return use;
}

}  // namespace tmem::arbiter
