// SPDX-License-Identifier: GPL-2.0-or-later
#include "reserve.h"

#include "file.h"
#include "text.h"

typedef struct {
  uint64_t sum;
  uint64_t high, boost, managed, protection;  // of the zone that is being read
} Zones;

static uint64_t saturated_sum(uint64_t a, uint64_t b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void finish_zone(Zones* zones) {
  // The shown watermark has the boost of a fragmented moment in it.
  const uint64_t high = zones->high > zones->boost ? zones->high - zones->boost : 0;
  const uint64_t wanted = saturated_sum(zones->protection, high);
  const uint64_t reserve = wanted < zones->managed ? wanted : zones->managed;
  const Zones next = {.sum = saturated_sum(zones->sum, reserve)};
  *zones = next;
}

static void take_value(const char* line, const char* name, uint64_t* value) {
  const char* at = after(line, name);
  if (at && *at == ' ') parse_number(at, value);
}

// "(0, 1903, 7800)"
static uint64_t largest_of(const char* at) {
  uint64_t largest = 0, number;
  for (; *at; ++at) {
    if (*at < '0' || *at > '9') continue;
    take_number(&at, &number);
    if (number > largest) largest = number;
    if (!*at) break;
  }
  return largest;
}

static void take_line(void* context, const char* line) {
  Zones* zones = context;
  if (after(line, "Node ")) finish_zone(zones);
  line = skip_spaces(line);
  take_value(line, "high", &zones->high);
  take_value(line, "boost", &zones->boost);
  take_value(line, "managed", &zones->managed);
  const char* protection = after(line, "protection:");
  if (protection) zones->protection = largest_of(protection);
}

int read_reserve_pages(int zoneinfo, uint64_t* pages) {
  Zones zones = {0};
  const int error = for_each_line(zoneinfo, take_line, &zones);
  if (error != 0) return error;
  finish_zone(&zones);
  *pages = zones.sum;
  return 0;
}
