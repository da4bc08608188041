// SPDX-License-Identifier: GPL-2.0-or-later
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "file.h"
#include "reserve.h"
#include "text.h"

enum { kReserveEveryMs = 60000, kPageKib = 4 };
static const uint64_t kNever = UINT64_MAX;

// Values of "Name:   123 kB" or "name 123" that are looked for.
typedef struct {
  const char* name;
  uint64_t value;
  bool found;
} Wanted;
typedef struct {
  Wanted* wanted;
  unsigned count;
} WantedList;

static void take_wanted(void* context, const char* line) {
  const WantedList* list = context;
  for (unsigned i = 0; i < list->count; ++i) {
    Wanted* wanted = &list->wanted[i];
    const char* at = after(line, wanted->name);
    if (!at || (*at != ':' && *at != ' ')) continue;
    at = skip_spaces(at + 1);
    wanted->found = take_number(&at, &wanted->value);
    return;
  }
}

static int read_wanted(int file, Wanted* wanted, unsigned count) {
  WantedList list = {wanted, count};
  return file < 0 ? -ENOENT : for_each_line(file, take_wanted, &list);
}

static uint64_t less(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}
static uint64_t smaller(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static bool read_meminfo(int file, GuestSample* sample, const char** lacking) {
  enum { kTotal, kFree, kAnon, kCommitted, kRequired };
  enum { kAvailable = kRequired, kBuffers, kCached, kShmem, kSwapTotal, kSwapFree, kAll };
  Wanted values[kAll] = {
      [kTotal] = {"MemTotal", 0, false},         [kFree] = {"MemFree", 0, false},
      [kAnon] = {"AnonPages", 0, false},         [kCommitted] = {"Committed_AS", 0, false},
      [kAvailable] = {"MemAvailable", 0, false}, [kBuffers] = {"Buffers", 0, false},
      [kCached] = {"Cached", 0, false},          [kShmem] = {"Shmem", 0, false},
      [kSwapTotal] = {"SwapTotal", 0, false},    [kSwapFree] = {"SwapFree", 0, false},
  };
  read_wanted(file, values, kAll);
  for (unsigned i = 0; i < kRequired; ++i) {
    if (values[i].found) continue;
    *lacking = values[i].name;
    return false;
  }
  sample->total_kib = values[kTotal].value;
  sample->free_kib = values[kFree].value;
  sample->anon_kib = values[kAnon].value;
  sample->committed_kib = values[kCommitted].value;
  // Neither can wrap: each is at most a quarter of what 64 bits hold.
  sample->cache_kib = smaller(values[kBuffers].value, UINT64_MAX / 4) +
                      smaller(values[kCached].value, UINT64_MAX / 4);
  sample->swap_used_kib = less(values[kSwapTotal].value, values[kSwapFree].value);
  sample->swap_free_kib = values[kSwapFree].value;
  // Kernels before 3.14 do not estimate it.
  sample->available_kib = values[kAvailable].found
                              ? values[kAvailable].value
                              : smaller(sample->free_kib, UINT64_MAX / 4) +
                                    less(sample->cache_kib, values[kShmem].value);
  return true;
}

// Counters that a kernel lacks stay zero.
static void read_vmstat(int file, GuestSample* sample) {
  enum { kRefaultFile, kRefault, kSwapIn, kSwapOut, kAll };
  Wanted values[kAll] = {[kRefaultFile] = {"workingset_refault_file", 0, false},
                         [kRefault] = {"workingset_refault", 0, false},  // before 5.9
                         [kSwapIn] = {"pswpin", 0, false},
                         [kSwapOut] = {"pswpout", 0, false}};
  read_wanted(file, values, kAll);
  sample->refault_pages = values[values[kRefaultFile].found ? kRefaultFile : kRefault].value;
  sample->swap_in_pages = values[kSwapIn].value;
  sample->swap_out_pages = values[kSwapOut].value;
}

typedef struct {
  uint64_t some_us, full_us;
  bool has_some;
} PressureLines;

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=123"
static void take_pressure(void* context, const char* line) {
  PressureLines* lines = context;
  const char* at = strstr(line, "total=");
  uint64_t total_us;
  if (!at) return;
  at += strlen("total=");
  if (!take_number(&at, &total_us)) return;
  if (after(line, "some ")) {
    lines->some_us = total_us;
    lines->has_some = true;
  } else if (after(line, "full ")) {
    lines->full_us = total_us;
  }
}

static void read_pressure(int file, GuestSample* sample) {
  PressureLines lines = {0, 0, false};
  if (file < 0 || for_each_line(file, take_pressure, &lines) != 0 || !lines.has_some) return;
  sample->has_pressure = true;
  sample->some_us = lines.some_us;
  sample->full_us = lines.full_us;
}

bool read_some(const SampleSource* source, uint64_t* some_us) {
  GuestSample sample = {0};
  read_pressure(source->pressure, &sample);
  *some_us = sample.some_us;
  return sample.has_pressure;
}

// "81234.56 123.45"
static void take_uptime(void* context, const char* line) {
  uint64_t* uptime_ms = context;
  uint64_t seconds, hundredths = 0;
  if (!take_number(&line, &seconds)) return;
  if (*line == '.' && line[1] && line[2]) {
    const char digits[3] = {line[1], line[2], '\0'};
    if (!parse_number(digits, &hundredths)) hundredths = 0;
  }
  *uptime_ms = smaller(seconds, UINT64_MAX / 2000) * 1000 + hundredths * 10;
}

static void read_reserve(SampleSource* source, uint64_t uptime_ms) {
  uint64_t pages;
  if (source->zoneinfo < 0 ||
      (source->reserve_read_ms != kNever && uptime_ms - source->reserve_read_ms < kReserveEveryMs))
    return;
  source->reserve_read_ms = uptime_ms;
  if (read_reserve_pages(source->zoneinfo, &pages) == 0)
    source->reserve_kib = smaller(pages, UINT64_MAX / kPageKib) * kPageKib;
}

bool open_samples(SampleSource* source, const char* root) {
  source->meminfo = open_below(root, "/proc/meminfo", O_RDONLY);
  source->vmstat = open_below(root, "/proc/vmstat", O_RDONLY);
  source->zoneinfo = open_below(root, "/proc/zoneinfo", O_RDONLY);
  source->uptime = open_below(root, "/proc/uptime", O_RDONLY);
  source->pressure = open_below(root, "/proc/pressure/memory", O_RDONLY);
  source->reserve_kib = 0;
  source->reserve_read_ms = kNever;
  if (source->meminfo < 0 || source->uptime < 0) {
    say(source->meminfo < 0 ? "/proc/meminfo" : "/proc/uptime",
        " cannot be opened: ", strerror(errno), "; is /proc mounted?", NULL);
    return false;
  }
  GuestSample sample = {0};
  read_pressure(source->pressure, &sample);
  if (!sample.has_pressure)
    say("this kernel has no /proc/pressure/memory (CONFIG_PSI=y, and psi=1 on its command line, "
        "give "
        "it); reporting without it",
        NULL);
  if (source->zoneinfo < 0) say("no /proc/zoneinfo: the kernel's reserve is reported as 0", NULL);
  if (source->vmstat < 0) say("no /proc/vmstat: refaults and swap-ins are reported as 0", NULL);
  return true;
}

bool read_sample(SampleSource* source, GuestSample* sample, const char** lacking) {
  const GuestSample nothing = {0};
  *sample = nothing;
  if (!read_meminfo(source->meminfo, sample, lacking)) return false;
  for_each_line(source->uptime, take_uptime, &sample->uptime_ms);
  read_vmstat(source->vmstat, sample);
  read_pressure(source->pressure, sample);
  read_reserve(source, sample->uptime_ms);
  sample->reserve_kib = source->reserve_kib;
  return true;
}
