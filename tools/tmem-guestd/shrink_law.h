// SPDX-License-Identifier: GPL-2.0-or-later
// When pages of swap that lie in the host's pool come back, and how many at a time: while the guest
// is calm and has memory for them, a hundredth of what is left each second. A disturbance ends it
// at once and for a while. The law of Linux' frontswap_selfshrink, with pressure as a second sign.
//
// What the agent's own reads make the guest wait counts as pressure too (the kernel does not tell
// whose it is), so they are rationed by it.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint64_t now_ms;
  uint64_t total_kib, available_kib;
  uint64_t swap_out_pages;   // counters since boot
  uint64_t read_back_pages;  // refaults and swap-ins, those of the agent not among them
  bool has_pressure;
  uint64_t some_us;
  bool alarmed;  // processes are waiting for memory now
} ShrinkInput;

typedef struct {
  uint32_t most_pages_per_s;
  bool begun;
  bool active;  // calm for long enough
  bool roomy;
  uint64_t active_since_ms, quiet_until_ms;
  uint32_t quiet_ms;        // how long the next quiet lasts
  uint32_t rest_ms;         // the last rest, if little was swapped out since
  uint64_t rest_out_pages;  // the counter then
  ShrinkInput last;
  uint64_t own_us;          // that the agent's reads took since then
  uint64_t foreign_us;      // that others waited, leaking at the rate that still is calm
  int64_t stall_credit_us;  // what processes may wait, in all
  uint64_t unused_ms;       // of activity: no pages were given for it yet
  uint64_t page_credit;     // in thousandths
} ShrinkLaw;

void shrink_law_init(ShrinkLaw* law, uint32_t most_pages_per_s);
// Judges the time since the last call. True: it is calm, there is room, and waiting is allowed.
bool shrink_law_calm(ShrinkLaw* law, const ShrinkInput* input);
// How many of `held_pages` may come back now.
uint32_t shrink_law_pages(ShrinkLaw* law, uint64_t held_pages);
// So many came back, and it took so long.
void shrink_law_done(ShrinkLaw* law, uint32_t pages, uint64_t own_us);
// It is of no use: not again for a while, each time a longer one.
void shrink_law_rest(ShrinkLaw* law, uint64_t now_ms);

#ifdef __cplusplus
}
#endif
