// SPDX-License-Identifier: GPL-2.0-or-later
// When to look, and when to report: each second while memory is on the move, seldom while calm.
#pragma once
#include "sample.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint32_t heartbeat_ms;  // a report this often while calm
  bool reported;          // at least once
  uint64_t reported_ms;
  GuestSample last;  // what was reported then
  uint64_t active_until_ms;
} Pace;

void pace_init(Pace* pace, uint32_t heartbeat_ms);
// Is a report due with this sample? Sees by it whether memory is on the move.
bool pace_due(Pace* pace, const GuestSample* sample, uint64_t now_ms);
void pace_reported(Pace* pace, const GuestSample* sample, uint64_t now_ms);
// Something happened that no sample shows yet.
void pace_alarm(Pace* pace, uint64_t now_ms);
uint32_t pace_period_ms(const Pace* pace, uint64_t now_ms);  // until the next sample

#ifdef __cplusplus
}
#endif
