// SPDX-License-Identifier: GPL-2.0-or-later
#include "report.h"

#include "text.h"

static const uint64_t kSizeMaxKib = (uint64_t)1 << 44;
static const uint64_t kCountMax = (uint64_t)1 << 62;

static void add_key(Text* text, const char* key, uint64_t value, uint64_t max) {
  add_text(text, key);
  add_number(text, value < max ? value : max);
}

void format_guest_report(char report[kReportSize], const GuestSample* sample, uint64_t sequence,
                         uint64_t urgent, bool guest_mode) {
  Text text = text_in(report, kReportSize);
  add_key(&text, "1 seq=", sequence, kCountMax);
  add_key(&text, " up_ms=", sample->uptime_ms, kCountMax);
  add_key(&text, " total_kib=", sample->total_kib, kSizeMaxKib);
  add_key(&text, " free_kib=", sample->free_kib, kSizeMaxKib);
  add_key(&text, " avail_kib=", sample->available_kib, kSizeMaxKib);
  add_key(&text, " cache_kib=", sample->cache_kib, kSizeMaxKib);
  add_key(&text, " anon_kib=", sample->anon_kib, kSizeMaxKib);
  add_key(&text, " commit_kib=", sample->committed_kib, kSizeMaxKib);
  add_key(&text, " reserve_kib=", sample->reserve_kib, kSizeMaxKib);
  add_key(&text, " swap_kib=", sample->swap_used_kib, kSizeMaxKib);
  add_key(&text, " swap_free_kib=", sample->swap_free_kib, kSizeMaxKib);
  add_key(&text, " refault=", sample->refault_pages, kCountMax);
  add_key(&text, " swapin=", sample->swap_in_pages, kCountMax);
  if (sample->has_pressure) {
    add_key(&text, " some_us=", sample->some_us, kCountMax);
    add_key(&text, " full_us=", sample->full_us, kCountMax);
  }
  add_key(&text, " urgent=", urgent, kCountMax);
  add_key(&text, " back=", sample->back_pages, kCountMax);
  add_key(&text, " mode=", guest_mode ? 1 : 0, 1);
}
