// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/measure.h"

#include <algorithm>
#include <cmath>

namespace tmem::lab::policies {
void Measure::tick(const SimGuest& guest, uint64_t pool_bytes, uint32_t tick, bool fits) {
  if (tick * kTickMs < constants_.warm_up_ms) {
    at_start_ = guest.counters();
    watched_.assign(guest.bursts().size(), {tick, tick, false});
    return;
  }
  ++ticks_;
  freed_bytes_ticks_ +=
      (static_cast<double>(script_.max_pages) - static_cast<double>(guest.actual_pages())) *
          kPageBytes -
      static_cast<double>(pool_bytes);
  const bool hungry = guest.actual_pages() < guest.need_pages() &&
                      guest.actual_pages() + guest.needed_pages_in_pool() < guest.need_pages();
  starved_.tick(hungry && fits);
  starved_all_.tick(hungry);
  watch_balloon(guest, tick, fits);
}

void Measure::watch_balloon(const SimGuest& guest, uint32_t tick, bool fits) {
  if (guest.bursts().size() > watched_.size())
    watched_.resize(guest.bursts().size(), {tick, std::nullopt, true});
  if (watched_.empty()) return;
  BurstWatch& burst = watched_.back();
  const double waited_ms = (tick - burst.begin_tick) * double{kTickMs};
  if (!fits && waited_ms <= constants_.burst_balloon_goal_ms) burst.could_be_met = false;
  if (!burst.covered_tick && (!fits || guest.actual_pages() >= guest.need_pages()))
    burst.covered_tick = tick;
}

GuestResult Measure::result(const SimGuest& guest) const {
  const double ticks = std::max(1u, ticks_);
  GuestResult result;
  result.stall_some = (guest.counters().some_us - at_start_.some_us) / (ticks * kTickUs);
  result.stall_full = (guest.counters().full_us - at_start_.full_us) / (ticks * kTickUs);
  result.freed_bytes = freed_bytes_ticks_ / ticks;
  result.starved_s = starved_.ticks() * double{kTickMs} / 1000;
  result.starved_all_s = starved_all_.ticks() * double{kTickMs} / 1000;
  result.disk_reads = guest.counters().disk_read_pages - at_start_.disk_read_pages;
  return result;
}

double Measure::late_ms(const SimGuest::Burst& burst, uint32_t end_tick) const {
  const double chunks = script_.regions[burst.region].chunks;
  const auto needed = static_cast<size_t>(std::ceil(chunks * constants_.burst_ratio));
  std::vector<double> done_ms = burst.done_ms;
  std::sort(done_ms.begin(), done_ms.end());
  // Cut off by the burst's or the run's end: it never had them.
  const double done =
      done_ms.size() >= needed && needed > 0
          ? done_ms[needed - 1]
          : (std::min(end_tick, burst.end_tick) - burst.begin_tick) * double{kTickMs};
  const double wanted = std::floor(static_cast<double>(needed - 1) * 10 / chunks) * kTickMs;
  return std::max(0.0, done - wanted);
}

std::vector<BurstResult> Measure::bursts(const SimGuest& guest, uint32_t end_tick) const {
  std::vector<BurstResult> results;
  for (size_t i = 0; i < watched_.size(); ++i) {
    if (!watched_[i].could_be_met) continue;
    const uint32_t covered = watched_[i].covered_tick.value_or(end_tick);
    results.push_back({late_ms(guest.bursts()[i], end_tick),
                       (covered - watched_[i].begin_tick) * double{kTickMs}});
  }
  return results;
}

}  // namespace tmem::lab::policies
