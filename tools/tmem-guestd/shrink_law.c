// SPDX-License-Identifier: GPL-2.0-or-later
#include "shrink_law.h"

#include <string.h>

enum {
  kFirstQuietMs = 15000,  // frontswap_inertia: 3 periods of 5 s
  kLongestQuietMs = 3600000,
  kFirstRestMs = 60000,
  kProvenMs = 300000,  // undisturbed for so long: the next quiet is a first one again
  kOutPages = 64,      // so many swapped out since the last look: memory is short
  kFreshPages = 512,   // so many since a rest end it
  kBackPages = 64,     // so many read back by others: the same, where there is no PSI
  kForeignUs = 2000,
  kCalmUsPerMs = 1,       // 0.1 % of the time
  kCreditPercent = 80,    // of it
  kMostCreditUs = 4000,   // what 5 s earn
  kMostElapsedMs = 2000,  // what a longer sleep would earn is lost
  kMarginParts = 10,      // of memory: stays available
  kStartParts = 50,       // of memory: available beyond that before it begins
  kRoomParts = 4,         // of the room, at once
  kFractionPerS = 100,    // of what is held
  kLeastPagesPerS = 64,   // so that it ends
  kPageKib = 4,
};

static uint64_t less(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}
static uint64_t smaller(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}
static uint64_t larger(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

void shrink_law_init(ShrinkLaw* law, uint32_t most_pages_per_s) {
  memset(law, 0, sizeof(*law));
  law->most_pages_per_s = most_pages_per_s;
  law->quiet_ms = kFirstQuietMs;
}

static uint32_t longer(uint32_t quiet_ms) {
  return quiet_ms >= kLongestQuietMs / 2 ? kLongestQuietMs : quiet_ms * 2;
}

static void be_quiet(ShrinkLaw* law, uint64_t until_ms) {
  law->active = law->roomy = false;
  law->quiet_until_ms = until_ms;
  law->foreign_us = law->unused_ms = law->page_credit = 0;
  law->stall_credit_us = 0;
}

// Pages that come back and soon disturb were not cold: ever longer quiet. What goes out in the
// quiet is new, and shortens it again.
static void disturb(ShrinkLaw* law, bool went_out, uint64_t now_ms) {
  if (law->active && now_ms - law->active_since_ms >= kProvenMs)
    law->quiet_ms = kFirstQuietMs;
  else if (law->active)
    law->quiet_ms = longer(law->quiet_ms);
  else if (went_out)
    law->quiet_ms = (uint32_t)larger(law->quiet_ms / 2, kFirstQuietMs);
  if (went_out) law->rest_ms = 0;
  const uint64_t until_ms = now_ms + law->quiet_ms;
  be_quiet(law, law->rest_ms > 0 ? larger(until_ms, law->quiet_until_ms) : until_ms);
}

// Pays for all waiting. Did others wait, as far as it can be told?
static bool others_waited(ShrinkLaw* law, const ShrinkInput* input, uint64_t elapsed_ms) {
  const ShrinkInput* last = &law->last;
  if (!input->has_pressure || !last->has_pressure)
    return less(input->read_back_pages, last->read_back_pages) >= kBackPages;
  const uint64_t calm_us = elapsed_ms * kCalmUsPerMs;
  // Bounded, so that no number in it can overflow.
  const uint64_t stall_us = smaller(less(input->some_us, last->some_us), (uint64_t)1 << 40);
  law->stall_credit_us += (int64_t)(calm_us * kCreditPercent / 100) - (int64_t)stall_us;
  if (law->stall_credit_us > kMostCreditUs) law->stall_credit_us = kMostCreditUs;
  law->foreign_us = less(law->foreign_us + less(stall_us, law->own_us), calm_us);
  return law->foreign_us > kForeignUs;
}

static bool has_room(const ShrinkLaw* law, const ShrinkInput* input) {
  const uint64_t start_kib = law->roomy ? 0 : input->total_kib / kStartParts;
  return less(input->available_kib, input->total_kib / kMarginParts) > start_kib;
}

bool shrink_law_calm(ShrinkLaw* law, const ShrinkInput* input) {
  const uint64_t elapsed_ms = smaller(less(input->now_ms, law->last.now_ms), kMostElapsedMs);
  const bool went_out = less(input->swap_out_pages, law->last.swap_out_pages) >= kOutPages;
  // However slowly: there is something new to bring back.
  const bool fresh =
      law->rest_ms > 0 && less(input->swap_out_pages, law->rest_out_pages) >= kFreshPages;
  if (!law->begun) {
    law->begun = true;
    be_quiet(law, input->now_ms + law->quiet_ms);
  } else if (others_waited(law, input, elapsed_ms) || went_out || input->alarmed) {
    disturb(law, went_out, input->now_ms);
  } else if (fresh) {
    law->rest_ms = 0;
    be_quiet(law, input->now_ms + law->quiet_ms);
  } else if (law->active) {
    law->unused_ms = smaller(law->unused_ms + elapsed_ms, kMostElapsedMs);
  } else if (input->now_ms >= law->quiet_until_ms) {
    law->active = true;
    law->active_since_ms = input->now_ms;
  }
  law->roomy = has_room(law, input);
  law->last = *input;
  law->own_us = 0;
  const bool may_wait = !input->has_pressure || law->stall_credit_us > 0;
  return law->active && law->roomy && may_wait;
}

uint32_t shrink_law_pages(ShrinkLaw* law, uint64_t held_pages) {
  const ShrinkInput* now = &law->last;
  const uint64_t room_kib = less(now->available_kib, now->total_kib / kMarginParts);
  const uint64_t per_s =
      smaller(larger(held_pages / kFractionPerS, kLeastPagesPerS), law->most_pages_per_s);
  law->page_credit = smaller(law->page_credit + law->unused_ms * per_s, per_s * kMostElapsedMs);
  law->unused_ms = 0;
  return (uint32_t)smaller(law->page_credit / 1000, room_kib / kPageKib / kRoomParts);
}

void shrink_law_done(ShrinkLaw* law, uint32_t pages, uint64_t own_us) {
  law->page_credit -= smaller(law->page_credit, (uint64_t)pages * 1000);
  law->own_us += own_us;
}

void shrink_law_rest(ShrinkLaw* law, uint64_t now_ms) {
  law->rest_ms = (uint32_t)larger(longer(law->rest_ms), kFirstRestMs);
  law->rest_out_pages = law->last.swap_out_pages;
  be_quiet(law, now_ms + law->rest_ms);
}
