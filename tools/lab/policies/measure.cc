// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/measure.h"

#include <algorithm>
#include <cmath>

namespace tmem::lab::policies {
namespace {

void keep_larger(std::optional<double>& worst, double value) {
  worst = worst ? std::max(*worst, value) : value;
}

}  // namespace

void Measure::tick(const SimGuest& guest, const HostPool& pool, uint32_t id, uint32_t tick,
                   bool fits) {
  if (tick * kTickMs < constants_.warm_up_ms) {
    at_start_ = guest.counters();
    could_be_met_.assign(guest.bursts().size(), false);
    return;
  }
  ++ticks_;
  freed_bytes_ticks_ +=
      (static_cast<double>(script_.max_pages) - static_cast<double>(guest.actual_pages())) *
          kPageBytes -
      static_cast<double>(pool.persistent_bytes(id));
  const policy::PoolUse& use = pool.use(id);
  const uint64_t reachable = guest.actual_pages() + use.persistent_pages + use.ephemeral_pages;
  const bool hungry = reachable < guest.need_pages();
  starved_.tick(hungry && fits);
  starved_all_.tick(hungry);
  watch_balloon(guest, tick, fits);
}

void Measure::watch_balloon(const SimGuest& guest, uint32_t tick, bool fits) {
  if (guest.bursts().size() > could_be_met_.size()) {
    could_be_met_.resize(guest.bursts().size(), true);
    waiting_since_ = tick;
  }
  if (!waiting_since_) return;
  if (!fits) {
    could_be_met_.back() = false;
    waiting_since_.reset();
  } else if (guest.actual_pages() >= guest.need_pages()) {
    keep_larger(burst_balloon_ms_, (tick - *waiting_since_) * double{kTickMs});
    waiting_since_.reset();
  }
}

void Measure::finish(uint32_t end_tick) {
  if (waiting_since_)
    keep_larger(burst_balloon_ms_, (end_tick - *waiting_since_) * double{kTickMs});
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

std::optional<double> Measure::burst_ms(const SimGuest& guest, uint32_t end_tick) const {
  std::optional<double> worst;
  for (size_t i = 0; i < could_be_met_.size(); ++i) {
    if (!could_be_met_[i]) continue;
    const SimGuest::Burst& burst = guest.bursts()[i];
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
    keep_larger(worst, std::max(0.0, done - wanted));
  }
  return worst;
}

}  // namespace tmem::lab::policies
