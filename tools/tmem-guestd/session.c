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
enum { kWatchedCount = 2 };
static const char* const kWatched[kWatchedCount] = {"tmem", "memory/target"};
static const char kSilent[] = "xenstored does not answer";
static const char kReportPath[] = "data/tmem/report";

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

static void send(Session* session, uint32_t type, enum Subject subject, const char* path,
                 const char* value, uint64_t now_ms) {
  session->serial = (session->serial + 1) & (UINT32_MAX >> kSubjectBits);
  if (session->serial == 0) session->serial = 1;
  session->request = session->serial << kSubjectBits | subject;
  session->sent_ms = now_ms;
  const int error = wire_send(&session->wire, type, session->request, path, value);
  if (error != 0) lose(session, error, now_ms);
}

// The next of what is to be asked, if the last is answered.
static void send_next(Session* session, uint64_t now_ms) {
  if (!session_is_idle(session)) return;
  if (session->watches_left > 0) {
    send(session, kWireWatch, kWatch, kWatched[kWatchedCount - session->watches_left], "t", now_ms);
  } else if (session->settings_left > 0) {
    const uint32_t subject = kSettingsCount - session->settings_left;
    send(session, kWireRead, subject, kSettingsPaths[subject], NULL, now_ms);
  }
}

static void ask_for_settings(Session* session, uint64_t now_ms) {
  const Settings none = {0};
  session->fresh = none;
  session->settings_left = kSettingsCount;
  session->settings_again = session->settings_failed = false;
  session->settings_ms = now_ms;
  send_next(session, now_ms);
}

static int connect_anew(Session* session, uint64_t now_ms) {
  const int error = wire_open(&session->wire, session->path);
  if (error != 0) return error;
  session->request = 0;
  session->report_allowed_ms = now_ms;
  session->watches_left = kWatchedCount;
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

bool session_is_idle(const Session* session) {
  return session->wire.file >= 0 && session->request == 0;
}

bool session_can_report(const Session* session, uint64_t now_ms) {
  return session_is_idle(session) && now_ms >= session->report_allowed_ms;
}

void session_report(Session* session, const char* report, uint64_t now_ms) {
  send(session, kWireWrite, kReport, kReportPath, report, now_ms);
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

// Says why reports are not taken, once for each reason.
static void complain(Session* session, const char* complaint) {
  if (strcmp(session->complaint, complaint) == 0) return;
  Text text = text_in(session->complaint, sizeof(session->complaint));
  add_text(&text, complaint);
  say("the report is not taken: ", session->complaint, remedy_of(session->complaint),
      "; trying again at least each minute", NULL);
}

// A report was refused: the next is tried ever later.
static void put_off_reports(Session* session, const char* complaint, uint64_t now_ms) {
  session->report_allowed_ms = now_ms + session->report_wait_ms;
  session->report_wait_ms = longer(session->report_wait_ms);
  complain(session, complaint);
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
    if (strcmp(message->text, "ENOENT") != 0) session->settings_failed = true;
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
static bool settings_answer(Session* session, uint32_t subject, const WireMessage* message,
                            uint64_t now_ms) {
  take_setting(session, subject, message);
  if (--session->settings_left > 0) return false;
  const bool usable = !session->settings_failed;
  if (usable) session->settings = session->fresh;
  if (session->settings_again) ask_for_settings(session, now_ms);
  return usable;
}

static bool take_answer(Session* session, const WireMessage* message, uint64_t now_ms) {
  const uint32_t subject = message->request & ((1u << kSubjectBits) - 1);
  session->request = 0;
  if (subject < kSettingsCount) return settings_answer(session, subject, message, now_ms);
  if (subject == kWatch)
    session->watches_left--;
  else if (message->type == kWireWrite)
    report_taken(session);
  else
    put_off_reports(session, message->type == kWireError ? error_name(message) : "no answer to it",
                    now_ms);
  return false;
}

static bool take_message(Session* session, const WireMessage* message, uint64_t now_ms) {
  bool changed = false;
  if (message->type == kWireEvent) {
    if (session->settings_left > 0)
      session->settings_again = true;
    else
      ask_for_settings(session, now_ms);
  } else if (session->request != 0 && message->request == session->request) {
    changed = take_answer(session, message, now_ms);
    send_next(session, now_ms);
  }
  return changed;
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

static bool is_silent(const Session* session, uint64_t now_ms) {
  return session->request != 0 && now_ms >= session->sent_ms + kAnswerMs;
}

bool session_tick(Session* session, uint64_t now_ms) {
  if (session->wire.file < 0) {
    if (now_ms < session->reopen_at_ms) return false;
    const int error = connect_anew(session, now_ms);
    if (error != 0) lose(session, error, now_ms);
    return error == 0;
  }
  if (is_silent(session, now_ms)) {
    complain(session, kSilent);
    // The device keeps the request until xenstored comes back; closing it would wait for that too.
    if (!session->wire.device) lose(session, -ETIMEDOUT, now_ms);
    return false;
  }
  // By the clock too: a xenstored that was restarted knows nothing of the watches.
  if (session->settings_left == 0 && now_ms >= session->settings_ms + kSettingsMs)
    ask_for_settings(session, now_ms);
  return false;
}

uint64_t session_deadline_ms(const Session* session) {
  if (session->wire.file < 0) return session->reopen_at_ms;
  if (session->request == 0) return session->settings_ms + kSettingsMs;
  // Once it is known to be silent, only its answer counts.
  const bool known = session->wire.device && strcmp(session->complaint, kSilent) == 0;
  return known ? UINT64_MAX : session->sent_ms + kAnswerMs;
}
