// SPDX-License-Identifier: GPL-2.0-or-later
// Guest mode: while dom0 says so, the agent sets the guest's balloon by the law, within dom0's
// bounds. One writer at a time: what `active` says goes into each report, so dom0 knows when it may
// write memory/target again.
#pragma once
#include "balloon.h"
#include "sample.h"
#include "session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const char* root;
  bool active;
  Settings settings;  // as dom0 has them
  bool known;         // they were read at least once
  uint64_t
      dom0_cap_kib;   // memory/target, if dom0 changed it in guest mode; else the largest number
  bool write_failed;  // said already
  uint64_t total_at_start_kib;
  Balloon balloon;
  Law law;
  // Where the second begins whose pressure is judged.
  GuestSample since;
  uint64_t since_ms;
} GuestMode;

void guest_mode_init(GuestMode* mode, const char* root, uint64_t total_at_start_kib);
// dom0's settings, read anew. True: `active` changed.
bool guest_mode_obey(GuestMode* mode, const Settings* settings);
// Sets the balloon if there is need. `alarmed`: processes are waiting for memory now.
void guest_mode_step(GuestMode* mode, const GuestSample* sample, bool alarmed, uint64_t now_ms);

#ifdef __cplusplus
}
#endif
