// SPDX-License-Identifier: GPL-2.0-or-later
// The agent's talk with xenstore, one request at a time: reports go out; what dom0 set comes in, at
// each change and each minute. Outlives a xenstored that is silent, restarts or refuses. Nothing
// waits: answers are taken when they come.
//
// Paths are relative, so xenstored takes them as below this guest's own /local/domain/<domid>.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

#ifdef __cplusplus
extern "C" {
#endif

// What dom0 wrote: tmem/mode, tmem/min_kib, tmem/max_kib, memory/target. Zero: not there, or no
// number.
typedef struct {
  bool guest_mode;
  uint64_t min_kib, max_kib;
  uint64_t target_kib;
} Settings;

typedef struct {
  Wire wire;
  const char* path;
  uint64_t reopen_at_ms;
  uint32_t reopen_wait_ms;
  bool lost;  // said already

  uint32_t serial;   // of requests
  uint32_t request;  // that is not answered yet, at most one at a time; 0: none
  uint64_t sent_ms;
  unsigned watches_left;   // to be set
  unsigned settings_left;  // to be read

  uint64_t report_allowed_ms;  // not before: the last one was refused
  uint32_t report_wait_ms;
  char complaint[32];  // said already; empty: the last report was taken

  bool settings_again;   // they changed meanwhile
  bool settings_failed;  // an answer that means nothing came: keep what is known
  bool settings_hidden;  // said already
  uint64_t settings_ms;  // when they were asked for
  Settings fresh;
  Settings settings;
} Session;

// Returns 0 or -errno: the connection that a start needs. `path` must stay.
int session_open(Session* session, const char* path, uint64_t now_ms);
bool session_can_report(const Session* session, uint64_t now_ms);
void session_report(Session* session, const char* report, uint64_t now_ms);
// Reads what came. True: `settings` may have changed.
bool session_receive(Session* session, uint64_t now_ms);
bool session_is_idle(const Session* session);  // open, and nothing unanswered
// What time alone brings: reopening, giving up an answer, reading the settings anew. True:
// reopened.
bool session_tick(Session* session, uint64_t now_ms);
// When session_tick() is to be called at the latest.
uint64_t session_deadline_ms(const Session* session);

#ifdef __cplusplus
}
#endif
