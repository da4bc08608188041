// SPDX-License-Identifier: GPL-2.0-or-later
// Self-shrinking: brings the processes' pages back that tmem_swap put into the host's pool, by the
// law. A page is brought back by reading one of its bytes: the fault takes it out of swap, and as
// tmem_swap is synchronous, and only one process has the page, its slot is freed at once.
#pragma once
#include "sample.h"
#include "shrink_law.h"
#include "swap_walk.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kShrinkStepMs = 500 };

typedef struct {
  uint32_t most_pages_per_s;  // 0: off
  uint64_t (*now_us)(void);
  // As bring_back_pages().
  int (*bring_back)(const FoundPages* found, uint64_t (*now_us)(void), uint64_t until_us);
} ShrinkSettings;

typedef struct {
  const char* root;
  ShrinkSettings settings;
  ShrinkLaw law;
  SwapWalk walk;
  uint64_t back_pages;  // since the agent's start
  // Of this pass over the processes.
  uint64_t pass_pages, pass_held_pages;
  bool pass_judged;
  uint32_t types;
  bool shared;        // other swap areas are in use too
  unsigned type_try;  // how far ours may be from its place in /proc/swaps
  bool refusal_said, useless_said;
} Shrink;

void shrink_init(Shrink* shrink, const char* root, const ShrinkSettings* settings);
// Does what is due now. `alarmed`: processes are waiting for memory.
void shrink_step(Shrink* shrink, const SampleSource* source, const GuestSample* sample,
                 bool alarmed, uint64_t now_ms);

bool shrink_is_at_work(const Shrink* shrink);

#ifdef __cplusplus
}
#endif
