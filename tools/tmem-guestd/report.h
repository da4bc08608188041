// SPDX-License-Identifier: GPL-2.0-or-later
// A report's text: version 1 of the format that policy/report.h describes, and three keys of the
// agent's own. urgent=N: how often the guest ran short of memory since the agent's start. back=N:
// pages that the agent brought back from swap since then; swapin leaves them out. mode=1: the agent
// sets the guest's balloon; mode=0: dom0 does.
#pragma once
#include "sample.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kReportSize = 512 + 1 };  // with the NUL

// Numbers are cut to what a report may hold, so the text is always short enough.
void format_guest_report(char text[kReportSize], const GuestSample* sample, uint64_t sequence,
                         uint64_t urgent, bool guest_mode);

#ifdef __cplusplus
}
#endif
