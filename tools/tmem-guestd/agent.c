// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent.h"

#include <errno.h>
#include <string.h>

#include "report.h"
#include "text.h"

enum {
  kAlarmMs = 100,       // the law answers alarms at most this often
  kGuestModeMs = 1000,  // between samples in guest mode
  // Between any two reports. tmemd stops watching, for a second, a guest that writes more than five
  // times in one. These are four; the fifth is for a late one of the second before.
  kReportGapMs = 250,
  kUnreadMs = 1000,  // until the next try when there was nothing to report
};

int agent_start(Agent* agent, const char* root, const char* xenbus, uint32_t heartbeat_ms,
                const ShrinkSettings* shrink, uint64_t now_ms) {
  GuestSample first;
  const char* lacking = "";
  memset(agent, 0, sizeof(*agent));
  if (!open_samples(&agent->source, root)) return 1;
  if (!read_sample(&agent->source, &first, &lacking)) {
    say("/proc/meminfo has no ", lacking, ": there is nothing to report", NULL);
    return 1;
  }
  const int error = session_open(&agent->session, xenbus, now_ms);
  if (error != 0) {
    say(xenbus, ": ", strerror(-error),
        "; run this as root, in a guest of Xen whose kernel gives it /dev/xen/xenbus (or mount "
        "xenfs "
        "at /proc/xen)",
        NULL);
    return error == -ENOENT ? kNoXenbusStatus : 1;
  }
  pace_init(&agent->pace, heartbeat_ms);
  guest_mode_init(&agent->mode, root, first.total_kib);
  shrink_init(&agent->shrink, root, shrink);
  agent->report_due = true;
  return 0;
}

static void take_settings(Agent* agent) {
  if (guest_mode_obey(&agent->mode, &agent->session.settings)) agent->report_due = true;
  // New bounds are kept at once.
  if (agent->mode.active) agent->next_sample_ms = 0;
}

void agent_receive(Agent* agent, uint64_t now_ms) {
  if (session_receive(&agent->session, now_ms)) take_settings(agent);
}

void agent_alarm(Agent* agent, uint64_t now_ms) {
  agent->urgent++;
  agent->urgent_due = agent->alarmed = true;
  pace_alarm(&agent->pace, now_ms);
}

static bool wants_to_report(const Agent* agent) {
  return agent->report_due || agent->urgent_due;
}

static bool may_report(const Agent* agent, uint64_t now_ms) {
  return session_can_report(&agent->session, now_ms) && now_ms >= agent->report_from_ms;
}

static uint64_t alarm_due_ms(const Agent* agent) {
  return agent->alarm_taken_ms + kAlarmMs;
}

static void report(Agent* agent, const GuestSample* sample, uint64_t now_ms) {
  char text[kReportSize];
  format_guest_report(text, sample, ++agent->sequence, agent->urgent, agent->mode.active);
  session_report(&agent->session, text, now_ms);
  pace_reported(&agent->pace, sample, now_ms);
  agent->report_from_ms = now_ms + kReportGapMs;
  agent->report_due = agent->urgent_due = false;
}

// What the agent brought back from swap is nobody's need.
static void count_back(const Agent* agent, GuestSample* sample) {
  const uint64_t back_pages = agent->shrink.back_pages;
  sample->back_pages = back_pages;
  sample->swap_in_pages -= back_pages < sample->swap_in_pages ? back_pages : sample->swap_in_pages;
}

static uint32_t sample_period_ms(const Agent* agent, uint64_t now_ms) {
  if (shrink_is_at_work(&agent->shrink)) return kShrinkStepMs;
  return agent->mode.active ? kGuestModeMs : pace_period_ms(&agent->pace, now_ms);
}

static void look(Agent* agent, uint64_t now_ms) {
  GuestSample sample;
  const char* lacking = "";
  const bool can_report = may_report(agent, now_ms);
  const bool read = read_sample(&agent->source, &sample, &lacking);
  if (!read && !agent->lacking)
    say("/proc/meminfo has no ", lacking, ": nothing is reported until it has", NULL);
  agent->lacking = !read;
  if (!read) {
    agent->report_from_ms = now_ms + kUnreadMs;
  } else {
    count_back(agent, &sample);
    const bool due = pace_due(&agent->pace, &sample, now_ms) || wants_to_report(agent);
    guest_mode_step(&agent->mode, &sample, agent->alarmed, now_ms);
    if (due && can_report) report(agent, &sample, now_ms);
    shrink_step(&agent->shrink, &agent->source, &sample, agent->alarmed, now_ms);
  }
  if (agent->alarmed) agent->alarm_taken_ms = now_ms;
  agent->alarmed = false;
  agent->next_sample_ms = now_ms + sample_period_ms(agent, now_ms);
}

void agent_tick(Agent* agent, uint64_t now_ms) {
  if (session_tick(&agent->session, now_ms)) agent->report_due = true;
  if (now_ms >= agent->next_sample_ms || (agent->alarmed && now_ms >= alarm_due_ms(agent)) ||
      (wants_to_report(agent) && may_report(agent, now_ms)))
    look(agent, now_ms);
}

static uint64_t sooner(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

uint64_t agent_deadline_ms(const Agent* agent) {
  uint64_t due_ms = sooner(session_deadline_ms(&agent->session), agent->next_sample_ms);
  if (agent->alarmed) due_ms = sooner(due_ms, alarm_due_ms(agent));
  // A report that waits for an answer is woken by it.
  if (!wants_to_report(agent) || !session_is_idle(&agent->session)) return due_ms;
  const uint64_t allowed_ms = agent->session.report_allowed_ms;
  return sooner(due_ms, allowed_ms > agent->report_from_ms ? allowed_ms : agent->report_from_ms);
}
