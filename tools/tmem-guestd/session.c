// SPDX-License-Identifier: GPL-2.0-or-later
#include "session.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "text.h"

enum {
  kFirstWaitMs = 1000,
  kLongestWaitMs = 60000,
  kAnswerMs = 5000,
  kSettingsMs = 60000,
};

// A request's number says what its answer is about: the serial, then three bits of this.
enum Subject { kMode, kMin, kMax, kTarget, kReport, kWatch, kSubjectBits = 3 };
enum { kSettingsCount = kTarget + 1 };
static const char* const kSettingsPaths[kSettingsCount] = {"tmem/mode", "tmem/min_kib",
                                                           "tmem/max_kib", "memory/target"};
static const char* const kWatched[] = {"tmem", "memory/target"};
static const char kReportPath[] = "data/tmem/report";

static uint32_t next_serial(Session* session) {
  session->serial = (session->serial + 1) & (UINT32_MAX >> kSubjectBits);
  if (session->serial == 0) session->serial = 1;
  return session->serial << kSubjectBits;
}

static uint32_t longer(uint32_t wait_ms) {
  return wait_ms >= kLongestWaitMs / 2 ? kLongestWaitMs : wait_ms * 2;
}

static void lose(Session* session, int error, uint64_t now_ms) {
  if (!session->lost)
    say("the connection to xenstore is lost: ", strerror(-error), "; trying again until it is back",
        NULL);
  session->lost = true;
  wire_close(&session->wire);
  session->reopen_at_ms = now_ms + session->reopen_wait_ms;
  session->reopen_wait_ms = longer(session->reopen_wait_ms);
}

static void ask_for_settings(Session* session, uint64_t now_ms) {
  const Settings none = {0};
  session->fresh = none;
  session->settings_request = next_serial(session);
  session->settings_left = kSettingsCount;
  session->settings_again = session->settings_failed = false;
  session->settings_sent_ms = now_ms;
  for (uint32_t i = 0; i < kSettingsCount; ++i) {
    const int error = wire_send(&session->wire, kWireRead, session->settings_request | i,
                                kSettingsPaths[i], NULL);
    if (error == 0) continue;
    lose(session, error, now_ms);
    return;
  }
}

static int connect_anew(Session* session, uint64_t now_ms) {
  int error = wire_open(&session->wire, session->path);
  for (size_t i = 0; error == 0 && i < sizeof(kWatched) / sizeof(kWatched[0]); ++i)
    error = wire_send(&session->wire, kWireWatch, next_serial(session) | kWatch, kWatched[i], "t");
  if (error != 0) return error;
  session->report_request = 0;
  session->report_allowed_ms = now_ms;
  ask_for_settings(session, now_ms);
  return 0;
}

int session_open(Session* session, const char* path, uint64_t now_ms) {
  memset(session, 0, sizeof(*session));
  wire_init(&session->wire);
  session->path = path;
  session->reopen_wait_ms = session->report_wait_ms = kFirstWaitMs;
  return connect_anew(session, now_ms);
}

bool session_can_report(const Session* session, uint64_t now_ms) {
  return session_is_idle(session) && now_ms >= session->report_allowed_ms;
}

void session_report(Session* session, const char* report, uint64_t now_ms) {
  session->report_request = next_serial(session) | kReport;
  session->report_sent_ms = now_ms;
  const int error =
      wire_send(&session->wire, kWireWrite, session->report_request, kReportPath, report);
  if (error != 0) lose(session, error, now_ms);
}

static const char* remedy_of(const char* complaint) {
  if (strcmp(complaint, "EACCES") == 0)
    return "; in dom0, this guest's node `data` has to belong to it: xenstore-chmod "
           "/local/domain/<domid>/data n<domid>";
  if (strcmp(complaint, "ENOSPC") == 0 || strcmp(complaint, "E2BIG") == 0)
    return "; this guest's xenstore quota is used up: remove nodes that it made, or raise the "
           "quota "
           "in dom0";
  return "";
}

// A report was not taken: says why, once for each reason, and comes back ever later.
static void put_off_reports(Session* session, const char* complaint, uint64_t now_ms) {
  session->report_allowed_ms = now_ms + session->report_wait_ms;
  session->report_wait_ms = longer(session->report_wait_ms);
  if (strcmp(session->complaint, complaint) == 0) return;
  Text text = text_in(session->complaint, sizeof(session->complaint));
  add_text(&text, complaint);
  say("the report is not taken: ", session->complaint, remedy_of(session->complaint),
      "; trying again at least each minute", NULL);
}

static void report_taken(Session* session) {
  if (session->complaint[0] || session->lost) say("reports are taken again", NULL);
  session->complaint[0] = '\0';
  session->lost = false;
  session->report_wait_ms = session->reopen_wait_ms = kFirstWaitMs;
}

// Only words that a xenstored sends reach the log.
static const char* error_name(const WireMessage* message) {
  const size_t length = strspn(message->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
  return length > 0 && length < 16 && message->text[length] == '\0' ? message->text
                                                                    : "an unknown error";
}

static uint64_t number_or_zero(const char* text) {
  uint64_t number;
  return parse_number(text, &number) ? number : 0;
}

static void take_setting(Session* session, uint32_t subject, const WireMessage* message) {
  if (message->type == kWireError) {
    const bool hidden = strcmp(message->text, "EACCES") == 0;
    if (hidden && !session->settings_hidden)
      say("dom0 has ", kSettingsPaths[subject], " but this guest may not read it: in dom0, ",
          "xenstore-chmod -r /local/domain/<domid>/tmem n0 r<domid>", NULL);
    session->settings_hidden |= hidden;
    if (!hidden && strcmp(message->text, "ENOENT") != 0) session->settings_failed = true;
  } else if (message->type != kWireRead) {
    session->settings_failed = true;
  } else if (subject == kMode) {
    session->fresh.guest_mode = strcmp(message->text, "guest") == 0;
  } else if (subject == kMin) {
    session->fresh.min_kib = number_or_zero(message->text);
  } else if (subject == kMax) {
    session->fresh.max_kib = number_or_zero(message->text);
  } else {
    session->fresh.target_kib = number_or_zero(message->text);
  }
}

// True when all answers are there.
static bool settings_answer(Session* session, const WireMessage* message, uint64_t now_ms) {
  const uint32_t subject = message->request & ((1u << kSubjectBits) - 1);
  if (session->settings_left == 0 || (message->request ^ subject) != session->settings_request)
    return false;
  // Answers come in the order of the questions.
  if (subject != kSettingsCount - session->settings_left) return false;
  take_setting(session, subject, message);
  if (--session->settings_left > 0) return false;
  const bool usable = !session->settings_failed;
  if (usable) session->settings = session->fresh;
  if (session->settings_again) ask_for_settings(session, now_ms);
  return usable;
}

static bool take_message(Session* session, const WireMessage* message, uint64_t now_ms) {
  if (message->type == kWireEvent) {
    if (session->settings_left > 0)
      session->settings_again = true;
    else
      ask_for_settings(session, now_ms);
    return false;
  }
  const uint32_t subject = message->request & ((1u << kSubjectBits) - 1);
  if (subject < kSettingsCount) return settings_answer(session, message, now_ms);
  if (session->report_request != 0 && message->request == session->report_request) {
    session->report_request = 0;
    if (message->type == kWireWrite)
      report_taken(session);
    else
      put_off_reports(
          session, message->type == kWireError ? error_name(message) : "no answer to it", now_ms);
  }
  return false;
}

bool session_receive(Session* session, uint64_t now_ms) {
  enum { kAtOnce = 64 };  // then the rest of the program has its turn
  bool changed = false;
  for (int i = 0; i < kAtOnce && session->wire.file >= 0; ++i) {
    WireMessage message;
    const int got = wire_receive(&session->wire, &message);
    if (got == 0) return changed;
    if (got < 0)
      lose(session, got, now_ms);
    else
      changed |= take_message(session, &message, now_ms);
  }
  return changed;
}

bool session_is_idle(const Session* session) {
  return session->wire.file >= 0 && session->report_request == 0;
}

bool session_tick(Session* session, uint64_t now_ms) {
  if (session->wire.file < 0) {
    if (now_ms < session->reopen_at_ms) return false;
    const int error = connect_anew(session, now_ms);
    if (error != 0) lose(session, error, now_ms);
    return error == 0;
  }
  // The device is not closed for an answer that does not come: closing waits for xenstored too.
  if (session->report_request != 0 && now_ms >= session->report_sent_ms + kAnswerMs) {
    session->report_request = 0;
    put_off_reports(session, "xenstored does not answer", now_ms);
  }
  // By the clock too: a xenstored that was restarted knows nothing of the watches.
  if (now_ms >= session->settings_sent_ms + kSettingsMs) ask_for_settings(session, now_ms);
  return false;
}

static uint64_t sooner(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

uint64_t session_deadline_ms(const Session* session) {
  if (session->wire.file < 0) return session->reopen_at_ms;
  const uint64_t settings_ms = session->settings_sent_ms + kSettingsMs;
  return session->report_request == 0 ? settings_ms
                                      : sooner(settings_ms, session->report_sent_ms + kAnswerMs);
}
