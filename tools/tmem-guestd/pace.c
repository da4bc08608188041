// SPDX-License-Identifier: GPL-2.0-or-later
#include "pace.h"

enum {
  kActiveMs = 1000,
  kCalmMs = 2000,
  kStaysActiveMs = 5000,
  kMovedKib = 1024,
  kMovedParts = 50,     // of the total: 2 %
  kStalledUs = 1000,    // of PSI, since the last report
  kReclaimPages = 256,  // read back since the last report: the sign where there is no PSI
};

void pace_init(Pace* pace, uint32_t heartbeat_ms) {
  const Pace fresh = {.heartbeat_ms = heartbeat_ms};
  *pace = fresh;
}

static bool moved(uint64_t now_kib, uint64_t then_kib, uint64_t total_kib) {
  const uint64_t distance = now_kib > then_kib ? now_kib - then_kib : then_kib - now_kib;
  return distance >= kMovedKib && distance > total_kib / kMovedParts;
}

static bool grew(uint64_t now, uint64_t then, uint64_t by) {
  return now > then && now - then >= by;
}

static bool is_on_the_move(const GuestSample* last, const GuestSample* now) {
  if (moved(now->committed_kib, last->committed_kib, now->total_kib) ||
      moved(now->anon_kib, last->anon_kib, now->total_kib) ||
      moved(now->available_kib, last->available_kib, now->total_kib) ||
      moved(now->total_kib, last->total_kib, now->total_kib))
    return true;
  if (now->has_pressure) return grew(now->some_us, last->some_us, kStalledUs);
  return grew(now->refault_pages, last->refault_pages, kReclaimPages) ||
         grew(now->swap_in_pages, last->swap_in_pages, kReclaimPages);
}

bool pace_due(Pace* pace, const GuestSample* sample, uint64_t now_ms) {
  if (!pace->reported) return true;
  if (is_on_the_move(&pace->last, sample)) pace_alarm(pace, now_ms);
  const uint64_t period_ms = now_ms < pace->active_until_ms ? kActiveMs : pace->heartbeat_ms;
  // A sample that comes a little early is not put off for a whole period.
  return now_ms - pace->reported_ms + kActiveMs / 10 >= period_ms;
}

void pace_reported(Pace* pace, const GuestSample* sample, uint64_t now_ms) {
  pace->reported = true;
  pace->reported_ms = now_ms;
  pace->last = *sample;
}

void pace_alarm(Pace* pace, uint64_t now_ms) {
  pace->active_until_ms = now_ms + kStaysActiveMs;
}

uint32_t pace_period_ms(const Pace* pace, uint64_t now_ms) {
  if (now_ms < pace->active_until_ms) return kActiveMs;
  return pace->heartbeat_ms < kCalmMs ? pace->heartbeat_ms : kCalmMs;
}
