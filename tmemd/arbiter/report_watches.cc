// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/report_watches.h"

#include <algorithm>
#include <set>

#include "tmem/text.hpp"
#include "tmemd/arbiter/census.h"
#include "tmemd/transport/xen/nodes.h"

namespace tmem::arbiter {
namespace {

constexpr std::string_view kToken = "report ";  // and the guest's number
constexpr int kEventsPerCall = 1024;

std::string token_of(DomId guest) {
  return std::string(kToken) + transport::xen::number_of(guest);
}

}  // namespace

void ReportWatches::watch(DomId id, Guest& guest) {
  guest.watched = xenstore_.watch(report_path(id), token_of(id)).has_value();
  guest.events = {};
}

void ReportWatches::follow(std::span<const DomId> guests, uint64_t now_ms) {
  for (auto it = guests_.begin(); it != guests_.end();) {
    if (std::ranges::find(guests, it->first) != guests.end()) {
      ++it;
      continue;
    }
    if (it->second.watched) xenstore_.unwatch(report_path(it->first), token_of(it->first));
    it = guests_.erase(it);
  }
  for (const DomId id : guests) {
    Guest& guest = guests_[id];
    if (!guest.watched && now_ms >= guest.again_ms) watch(id, guest);
  }
}

bool ReportWatches::count(DomId id, Guest& guest, uint64_t now_ms) {
  ++guest.counters.events;
  if (guest.events.take(kReportEventsPerSecond, now_ms)) return true;
  xenstore_.unwatch(report_path(id), token_of(id));
  guest.watched = false;
  guest.again_ms = now_ms + kUnwatchedMs;
  ++guest.counters.dropped;
  return false;
}

std::vector<DomId> ReportWatches::written(uint64_t now_ms) {
  std::set<DomId> written;
  for (int i = 0; i < kEventsPerCall; ++i) {
    const auto event = xenstore_.next_event();
    if (!event) break;
    if (!event->token.starts_with(kToken)) continue;
    const auto number = parse_number(event->token.substr(kToken.size()), UINT16_MAX);
    const auto guest = guests_.find(DomId{static_cast<uint16_t>(number.value_or(0))});
    // An event may come after its watch has gone.
    if (guest == guests_.end() || !guest->second.watched) continue;
    if (count(guest->first, guest->second, now_ms)) written.insert(guest->first);
  }
  return {written.begin(), written.end()};
}

WatchCounters ReportWatches::counters(DomId guest) const {
  const auto found = guests_.find(guest);
  return found == guests_.end() ? WatchCounters{} : found->second.counters;
}

}  // namespace tmem::arbiter
