// SPDX-License-Identifier: GPL-2.0-or-later
// The agent: samples become reports, and in guest mode the balloon's target. Told the time by its
// caller; waits for nothing.
#pragma once
#include "guest_mode.h"
#include "pace.h"
#include "sample.h"
#include "session.h"
#include "shrink.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  SampleSource source;
  Session session;
  Pace pace;
  GuestMode mode;
  Shrink shrink;
  uint64_t next_sample_ms;
  uint64_t sequence;
  bool lacking;  // no report can be made: said already

  bool report_due;          // whatever the pace says
  uint64_t report_from_ms;  // not before
  uint64_t urgent;          // alarms so far
  bool urgent_due;          // not reported yet
  bool alarmed;             // not seen by the law yet
  uint64_t alarm_taken_ms;
} Agent;

enum { kNoXenbusStatus = 3 };  // of exit: trying again is of no use

// Returns 0, or an exit status after having said what is wrong.
int agent_start(Agent* agent, const char* root, const char* xenbus, uint32_t heartbeat_ms,
                const ShrinkSettings* shrink, uint64_t now_ms);
// Reads what xenstored sent.
void agent_receive(Agent* agent, uint64_t now_ms);
// Processes wait for memory: report at once.
void agent_alarm(Agent* agent, uint64_t now_ms);
// Does what is due.
void agent_tick(Agent* agent, uint64_t now_ms);
// When something will be due.
uint64_t agent_deadline_ms(const Agent* agent);

#ifdef __cplusplus
}
#endif
