// SPDX-License-Identifier: GPL-2.0-or-later
// tmem-guestd: the agent in a guest. Sleeps in poll(); allocates nothing, and stays in memory,
// because it is needed most when there is none.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "bring_back.h"
#include "file.h"
#include "options.h"
#include "pressure.h"
#include "report.h"
#include "text.h"

enum { kSlackNs = 20000000 };  // wake-ups may come this late, so that the kernel can join them

enum { kPagesPerMib = 256 };

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t now_ms(void) {
  return now_us() / 1000;
}

static int print_report(const char* root) {
  SampleSource source;
  GuestSample sample;
  const char* lacking = "";
  char text[kReportSize + 1];
  if (!open_samples(&source, root)) return 1;
  if (!read_sample(&source, &sample, &lacking)) {
    say("/proc/meminfo has no ", lacking, ": there is nothing to report", NULL);
    return 1;
  }
  format_guest_report(text, &sample, 1, 0, false);
  const size_t length = strlen(text);
  text[length] = '\n';
  return write(STDOUT_FILENO, text, length + 1) == (ssize_t)length + 1 ? 0 : 1;
}

// The first of the two places that is there; the usual one if none is.
static const char* find_xenbus(const char* root, char path[kPathMax]) {
  static const char* const kPlaces[] = {"/proc/xen/xenbus", "/dev/xen/xenbus"};
  for (int i = 1; i >= 0; --i) {
    Text text = text_in(path, kPathMax);
    add_text(&text, root);
    add_text(&text, kPlaces[i]);
    if (access(path, F_OK) == 0) return path;
  }
  Text text = text_in(path, kPathMax);
  add_text(&text, root);
  add_text(&text, kPlaces[1]);
  return path;
}

// None of it is needed to work, only to work under pressure.
static void stay_in_memory(const char* root) {
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
    say("cannot lock itself into memory: ", strerror(errno), NULL);
  const int file = open_below(root, "/proc/self/oom_score_adj", O_WRONLY);
  if (file < 0) return;
  if (write(file, "-1000", 5) < 0) say("cannot keep the OOM killer away: ", strerror(errno), NULL);
  close(file);
}

static int open_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int wait_ms(uint64_t now, uint64_t deadline) {
  const uint64_t longest = 3600000;
  if (deadline <= now) return 0;
  return (int)(deadline - now < longest ? deadline - now : longest);
}

static void lose_pressure(struct pollfd* pressure) {
  say("the trigger for memory pressure is gone; looking each second or two instead", NULL);
  close(pressure->fd);
  pressure->fd = -1;
}

// Until a signal ends it.
static void run(Agent* agent, int pressure, int signals) {
  enum { kXenbus, kPressure, kSignals, kFiles };
  struct pollfd files[kFiles] = {[kPressure] = {.fd = pressure, .events = POLLPRI},
                                 [kSignals] = {.fd = signals, .events = POLLIN}};
  for (;;) {
    uint64_t now = now_ms();
    agent_tick(agent, now);
    files[kXenbus].fd = agent->session.wire.file;
    files[kXenbus].events = POLLIN;
    if (poll(files, kFiles, wait_ms(now, agent_deadline_ms(agent))) < 0) continue;
    now = now_ms();
    if (files[kXenbus].revents != 0) agent_receive(agent, now);
    if ((files[kPressure].revents & POLLPRI) != 0) agent_alarm(agent, now);
    if ((files[kPressure].revents & (POLLERR | POLLNVAL)) != 0) lose_pressure(&files[kPressure]);
    struct signalfd_siginfo signal_info;
    while (read(signals, &signal_info, sizeof(signal_info)) == sizeof(signal_info)) {
      if (signal_info.ssi_signo != SIGUSR1) return;
      agent_alarm(agent, now);
    }
  }
}

int main(int argc, char** argv) {
  static Agent agent;
  static char xenbus[kPathMax];
  Options options;
  int status = parse_options(argc, argv, &options);
  if (status >= 0) return status;
  if (options.once) return print_report(options.root);
  const int signals = open_signals();
  if (!options.xenbus) options.xenbus = find_xenbus(options.root, xenbus);
  const ShrinkSettings shrink = {options.shrink_mib_per_s * kPagesPerMib, now_us, bring_back_pages};
  status =
      agent_start(&agent, options.root, options.xenbus, options.heartbeat_ms, &shrink, now_ms());
  if (status != 0) return status;
  const int pressure = open_pressure_trigger(options.root);
  stay_in_memory(options.root);
  prctl(PR_SET_TIMERSLACK, kSlackNs, 0, 0, 0);
  run(&agent, pressure, signals);
  return 0;
}
