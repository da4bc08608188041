// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/agent.h"

#include <algorithm>
#include <numeric>

namespace tmem::lab::policies {
namespace {

uint64_t scaled(uint64_t pages, double factor) {
  return static_cast<uint64_t>(static_cast<double>(pages) * factor) * kPageBytes;
}

// As the kernel's MemAvailable.
uint64_t available_pages(const SimGuest& guest) {
  const uint64_t low = guest.watermark_pages();
  const uint64_t cache = guest.file_pages();
  return guest.free_pages() - std::min(guest.free_pages(), low) + cache - std::min(cache / 2, low);
}

uint64_t used_bytes(const SimGuest& guest) {
  return (guest.anon_pages() + guest.swapped_pages()) * kPageBytes;
}

}  // namespace

// Strategies that hear of urgent reports are made for our agent.
Agent::Agent(const GuestScript& script, const AgentConstants& constants,
             const policy::Strategy& strategy)
    : script_(script),
      constants_(constants),
      is_ours_(strategy.wants_urgent()),
      period_ms_(std::min(constants.period_ms, strategy.period_ms())) {
  shrink_law_init(&shrink_, constants.shrink_pages_per_s);
}

bool Agent::observe(const SimGuest& guest, uint32_t tick, std::optional<std::string>& node) {
  if (!script_.has_agent) return false;
  const uint32_t now_ms = (tick + 1) * kTickMs;
  const bool urgent = trigger_fires(guest.some_us_of_tick(), now_ms);
  if (urgent) {
    ++urgent_;
    alarmed_ = true;
    active_until_ms_ = now_ms + constants_.stays_active_ms;
  }
  const bool due = is_ours_ ? is_due(guest, now_ms) : is_due_to_another(guest, now_ms);
  if (!urgent && !due) return false;
  reported_bytes_ = used_bytes(guest);
  reported_ms_ = now_ms;
  reported_ = read(guest, now_ms);
  reported_.sequence = ++sequence_;
  reported_.urgent = urgent_;
  node = policy::format_report(reported_);
  return urgent;
}

// As tools/tmem-guestd/pace.c.
bool Agent::is_due(const SimGuest& guest, uint32_t now_ms) {
  const uint32_t look_ms =
      now_ms < active_until_ms_ ? constants_.period_ms : constants_.calm_look_ms;
  if (now_ms % look_ms != 0) return false;
  if (sequence_ == 0) return true;
  if (moved(read(guest, now_ms))) active_until_ms_ = now_ms + constants_.stays_active_ms;
  const bool active = now_ms < active_until_ms_;
  return now_ms - reported_ms_ >= (active ? constants_.period_ms : constants_.heartbeat_ms);
}

bool Agent::moved(const policy::Sample& now) const {
  const auto least_bytes =
      static_cast<uint64_t>(static_cast<double>(now.total_bytes) * constants_.moved_ratio);
  const auto far = [&](uint64_t a, uint64_t b) {
    return std::max(a, b) - std::min(a, b) > least_bytes;
  };
  return far(now.committed_bytes, reported_.committed_bytes) ||
         far(now.anon_bytes, reported_.anon_bytes) ||
         far(now.available_bytes, reported_.available_bytes) ||
         far(now.total_bytes, reported_.total_bytes) ||
         now.pressure->some_us >= reported_.pressure->some_us + constants_.moved_stall_us;
}

bool Agent::is_due_to_another(const SimGuest& guest, uint32_t now_ms) const {
  if (now_ms % constants_.period_ms == 0) return true;
  if (now_ms % period_ms_ != 0) return false;
  const uint64_t used = used_bytes(guest);
  return std::max(used, reported_bytes_) - std::min(used, reported_bytes_) >
         constants_.change_bytes;
}

// As the kernel's: `some` above the threshold within a window, at most once a window.
bool Agent::trigger_fires(double some_us, uint32_t now_ms) {
  const uint32_t ticks =
      std::min<uint32_t>(constants_.trigger_window_ms / kTickMs, window_us_.size());
  window_us_[window_at_++ % ticks] = some_us;
  const double sum_us = std::accumulate(window_us_.begin(), window_us_.begin() + ticks, 0.0);
  if (sum_us < constants_.trigger_stall_ms * 1000.0) return false;
  if (now_ms < quiet_until_ms_ || now_ms - fired_ms_ < constants_.trigger_window_ms) return false;
  // Many in a row: dom0 drops its watch for a while, the regular reports go on.
  fired_count_ = now_ms - fired_ms_ > 2 * constants_.trigger_window_ms ? 1 : fired_count_ + 1;
  fired_ms_ = now_ms;
  if (fired_count_ >= constants_.urgent_max) {
    fired_count_ = 0;
    quiet_until_ms_ = now_ms + constants_.urgent_pause_ms;
  }
  return true;
}

void Agent::self_shrink(SimGuest& guest, uint64_t held_pages, uint32_t tick) {
  const uint32_t now_ms = (tick + 1) * kTickMs;
  if (!script_.has_agent || now_ms % constants_.period_ms != 0) return;
  const GuestCounters& counters = guest.counters();
  const ShrinkInput input{now_ms,
                          guest.actual_pages() * kPageBytes / kKiB,
                          available_pages(guest) * kPageBytes / kKiB,
                          counters.swap_out_pages,
                          counters.refault_pages + counters.swap_in_pages,
                          /*has_pressure=*/true,
                          static_cast<uint64_t>(counters.some_us),
                          alarmed_};
  alarmed_ = false;
  if (!shrink_law_calm(&shrink_, &input) || held_pages == 0) return;
  const uint32_t pages = shrink_law_pages(&shrink_, held_pages);
  shrink_law_done(&shrink_, static_cast<uint32_t>(guest.bring_back(pages)), 0);
}

policy::Sample Agent::read(const SimGuest& guest, uint32_t now_ms) const {
  const double lie = script_.lie_factor;
  const uint64_t cache = guest.file_pages();
  policy::Sample sample;
  sample.uptime_ms = now_ms;
  sample.total_bytes = guest.actual_pages() * kPageBytes;
  sample.free_bytes = scaled(guest.free_pages(), 1 / lie);
  sample.available_bytes = scaled(available_pages(guest), 1 / lie);
  sample.cache_bytes = scaled(cache, 1 / lie);
  // No more than it has: that would be found out.
  sample.anon_bytes = std::min(scaled(guest.anon_pages(), lie), sample.total_bytes);
  sample.committed_bytes = scaled(guest.committed_pages(), script_.commit_factor * lie);
  sample.reserve_bytes = scaled(guest.actual_pages(), GuestConstants{}.reserve_ratio);
  sample.swap_used_bytes = scaled(guest.swapped_pages(), lie);
  sample.refault_pages = guest.counters().refault_pages;
  sample.swap_in_pages = guest.counters().swap_in_pages;
  // A liar claims to wait a twentieth of its time for each multiple of its size.
  const double false_us = (lie - 1) * 0.05 * now_ms * 1000;
  sample.pressure =
      policy::Pressure{static_cast<uint64_t>(guest.counters().some_us + false_us),
                       static_cast<uint64_t>(guest.counters().full_us + false_us / 2)};
  return sample;
}

}  // namespace tmem::lab::policies
