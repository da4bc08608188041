// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest_mode.h"

#include <errno.h>
#include <string.h>

#include "kept.h"
#include "text.h"

enum {
  kJudgedMs = 900,      // a second's pressure, if the sample comes a little early
  kPressedParts = 100,  // of the time: 1 %
  kReclaimPerMs = 256,  // pages a second, in thousandths: the sign where there is no PSI
  kSpareKib = 24 << 10,  // that could be made free, and stays
  kSparePart = 8,       // of what the guest began with, where swap has no room for that
  kSpareMostKib = 1 << 20,
};

static const char kCap[] = "cap_kib";

void guest_mode_init(GuestMode* mode, const char* root, uint64_t total_at_start_kib) {
  memset(mode, 0, sizeof(*mode));
  mode->root = root;
  mode->dom0_cap_kib = UINT64_MAX;
  balloon_init(&mode->balloon);
  mode->total_at_start_kib = total_at_start_kib;
  law_init(&mode->law, total_at_start_kib);
}

// An order from before the agent's start is in force; memory/target may hold a newer one.
static uint64_t kept_cap_kib(const GuestMode* mode) {
  uint64_t cap_kib;
  if (!load_kept(mode->root, kCap, &cap_kib)) return UINT64_MAX;
  return mode->settings.target_kib != 0 ? mode->settings.target_kib : cap_kib;
}

static void enter(GuestMode* mode) {
  const Bounds bounds = {mode->settings.min_kib, mode->settings.max_kib};
  if (!bounds_are_valid(&bounds)) {
    say("tmem/mode is guest, but tmem/min_kib and tmem/max_kib are not both set, or are no range: "
        "the "
        "balloon is left to dom0",
        NULL);
    return;
  }
  if (!balloon_take(&mode->balloon, mode->root, mode->settings.target_kib)) return;
  mode->active = true;
  mode->dom0_cap_kib = kept_cap_kib(mode);
  mode->law.correction_kib = mode->law.want_kib = mode->law.step_at_ms = 0;
  mode->since_ms = 0;
  say("guest mode: this agent sets the balloon, within tmem/min_kib and tmem/max_kib", NULL);
}

static void leave(GuestMode* mode) {
  balloon_release(&mode->balloon);
  mode->active = false;
  say("host mode: dom0 sets the balloon", NULL);
}

// A changed memory/target is an order too: it bounds the guest until dom0 changes the other bounds
// alone, or takes the balloon back.
static void take_orders(GuestMode* mode, const Settings* old) {
  if (mode->settings.target_kib != old->target_kib && mode->settings.target_kib != 0) {
    mode->dom0_cap_kib = mode->settings.target_kib;
    if (!keep(mode->root, kCap, mode->dom0_cap_kib))
      say("dom0's order cannot be kept for the next start: ", strerror(errno), NULL);
  } else if (mode->settings.min_kib != old->min_kib || mode->settings.max_kib != old->max_kib) {
    mode->dom0_cap_kib = UINT64_MAX;
    forget_kept(mode->root, kCap);
  }
}

static bool same(const Settings* a, const Settings* b) {
  return a->guest_mode == b->guest_mode && a->min_kib == b->min_kib && a->max_kib == b->max_kib &&
         a->target_kib == b->target_kib;
}

bool guest_mode_obey(GuestMode* mode, const Settings* settings) {
  const bool was_active = mode->active;
  const Settings old = mode->settings;
  if (mode->known && same(&old, settings)) return false;
  mode->settings = *settings;
  mode->known = true;
  const Bounds bounds = {settings->min_kib, settings->max_kib};
  if (!settings->guest_mode || (mode->active && !bounds_are_valid(&bounds))) {
    if (mode->active) leave(mode);
    forget_kept(mode->root, kCap);
  } else if (mode->active) {
    take_orders(mode, &old);
  } else {
    enter(mode);
  }
  return mode->active != was_active;
}

static uint64_t grown(uint64_t now, uint64_t then) {
  return now > then ? now - then : 0;
}

static bool is_pressed(GuestMode* mode, const GuestSample* sample, uint64_t now_ms) {
  const uint64_t elapsed_ms = now_ms - mode->since_ms;
  if (mode->since_ms != 0 && elapsed_ms < kJudgedMs) return false;
  const GuestSample* since = &mode->since;
  const uint64_t read_back = grown(sample->refault_pages, since->refault_pages) +
                             grown(sample->swap_in_pages, since->swap_in_pages);
  bool pressed = false;
  if (mode->since_ms != 0)
    pressed = sample->has_pressure && since->has_pressure
                  ? grown(sample->some_us, since->some_us) > elapsed_ms * 1000 / kPressedParts
                  : read_back > elapsed_ms * kReclaimPerMs / 1000;
  mode->since = *sample;
  mode->since_ms = now_ms;
  return pressed;
}

// Nothing waits for memory while nothing runs: without this an idle guest without page cache would
// shrink until the next process finds none.
static uint64_t least_kib(const GuestMode* mode, const GuestSample* sample) {
  uint64_t spare_kib = mode->total_at_start_kib / kSparePart;
  if (spare_kib > kSpareMostKib) spare_kib = kSpareMostKib;
  if (spare_kib < kSpareKib || sample->swap_free_kib >= spare_kib) spare_kib = kSpareKib;
  const uint64_t swappable_kib =
      sample->anon_kib < sample->swap_free_kib ? sample->anon_kib : sample->swap_free_kib;
  return grown(sample->total_kib, sample->available_kib + swappable_kib) + spare_kib;
}

void guest_mode_step(GuestMode* mode, const GuestSample* sample, bool alarmed, uint64_t now_ms) {
  if (!mode->active) return;
  const bool pressed = is_pressed(mode, sample, now_ms) || alarmed;
  const LawInput input = {now_ms,  sample->total_kib, sample->committed_kib, sample->reserve_kib,
                          pressed, least_kib(mode, sample)};
  const uint64_t want_kib = law_want_kib(&mode->law, &input);
  Bounds bounds = {mode->settings.min_kib, mode->settings.max_kib};
  if (mode->dom0_cap_kib < bounds.max_kib) bounds.max_kib = mode->dom0_cap_kib;
  if (bounds.max_kib < bounds.min_kib) bounds.max_kib = bounds.min_kib;
  const int error = balloon_set(&mode->balloon, &bounds, want_kib, sample->total_kib);
  if (error != 0 && !mode->write_failed)
    say("the balloon's target cannot be set: ", strerror(-error), NULL);
  mode->write_failed = error != 0;
}
