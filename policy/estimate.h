// SPDX-License-Identifier: GPL-2.0-or-later
// What a strategy decides on: the host, and for each guest what is known without its help (facts),
// what it said (sample), and how fast that changes (rates).
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>

#include "libtmem/base/units.h"
#include "policy/report.h"

namespace tmem::policy {

enum class GuestId : uint32_t {};  // Xen's domain id; in the lab, a number

// Of the administrator.
struct GuestSettings {
  uint64_t min_bytes = 0;
  uint64_t max_bytes = 0;
  uint32_t weight = 256;  // for each MiB of its maximum, so that alike guests are served alike
  uint32_t priority = 0;  // a higher one is served first, up to what it needs

  // In a share of the host's memory.
  uint64_t share_weight() const { return weight * std::max<uint64_t>(max_bytes / kMiB, 1); }
};

// Counted by the store, so no guest can lie about it. Counters since the client connected.
struct PoolUse {
  bool has_client = false;        // it is connected: what is taken from it may go to the pool
  uint64_t persistent_pages = 0;  // held now
  uint64_t ephemeral_pages = 0;   // held now
  uint64_t charged_bytes = 0;     // of both, compressed, with records
  uint64_t persistent_puts = 0;
  uint64_t persistent_gets = 0;  // that found the page
  uint64_t ephemeral_puts = 0;
  uint64_t ephemeral_hits = 0;
  uint64_t ephemeral_misses = 0;
};

// Known without the guest's help.
struct GuestFacts {
  GuestId id{};
  GuestSettings settings;
  uint64_t actual_bytes = 0;  // what Xen says it has
  uint64_t target_bytes = 0;  // what it was last asked to have
  uint64_t first_bytes = 0;   // what it had when it was first seen
  bool has_reported = false;  // at some time since then
  bool can_balloon = true;    // it has a balloon driver
  PoolUse pool;
};

// Per second; zero where nothing new is known. See Estimator::update().
struct Rates {
  double some_ratio = 0;  // of the time; 1: always. Without PSI: by the pages that it read back
  double full_ratio = 0;
  double refault_pages = 0;
  double swap_in_pages = 0;
  double persistent_puts = 0;
  double persistent_gets = 0;
  double ephemeral_puts = 0;
  double ephemeral_hits = 0;
};

enum class ReportState : uint8_t {
  kNone,  // no agent, or none yet
  kFresh,
  kStale,      // the last good one is too old
  kMalformed,  // the newest breaks the format; the last good one may still count
  kAbsurd,     // ... contradicts itself or what Xen says
};
const char* name_of(ReportState state);

struct Estimate {
  GuestFacts facts;
  ReportState report = ReportState::kNone;
  std::optional<Sample> sample;  // the newest that was good, unless it is stale
  uint64_t sample_age_ms = 0;
  bool urgent = false;  // the guest's PSI trigger fired since the last tick
  Rates rates;
};

struct HostView {
  uint64_t now_ms = 0;
  uint64_t total_bytes = 0;          // for guests, pool and head-room: all but dom0 and Xen
  uint64_t free_bytes = 0;           // nobody's, outstanding claims taken off
  uint64_t claims_bytes = 0;         // promised by Xen to domains that are being built
  uint64_t head_room_bytes = 0;      // to be kept free, with what make-room asked for
  bool has_pool = false;             // it shares this memory with the guests, full or empty
  uint64_t pool_held_bytes = 0;      // slots and metadata
  uint64_t pool_freeable_bytes = 0;  // of it, what eviction can give back
};

}  // namespace tmem::policy
