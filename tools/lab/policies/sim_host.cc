// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/sim_host.h"

#include <algorithm>

#include "libtmem/base/assert.h"
#include "policy/guard.h"

namespace tmem::lab::policies {
namespace {

// Before the first decision each guest has its share of the host by size.
uint64_t first_pages(const Scenario& scenario, const GuestScript& script, uint64_t usable_pages) {
  uint64_t sum_pages = 0;
  for (const GuestScript& each : scenario.guests) sum_pages += each.max_pages;
  return std::min(script.max_pages, usable_pages * script.max_pages / sum_pages);
}

}  // namespace

SimHost::SimHost(const Scenario& scenario, const Constants& constants, policy::Strategy& strategy,
                 bool with_pool)
    : scenario_(scenario),
      constants_(constants),
      strategy_(strategy),
      pool_(scenario, constants_.pool, with_pool),
      disk_(constants_.disk) {
  const uint64_t usable_pages = (pool_.total_bytes() - pool_.head_room_bytes()) / kPageBytes;
  const uint32_t report_ms = std::min(constants_.agent.period_ms, strategy.period_ms());
  for (uint32_t id = 0; id < scenario.guests.size(); ++id) {
    const GuestScript& script = scenario.guests[id];
    const uint64_t pages = pool_.give(first_pages(scenario, script, usable_pages));
    guests_.push_back(std::make_unique<SimGuest>(scenario, id, constants_, pool_, disk_, pages));
    agents_.emplace_back(script, constants_.agent, report_ms);
    measures_.emplace_back(script, constants_.measure);
    target_pages_.push_back(pages);
    policy::GuestInput input;
    input.facts.id = policy::GuestId{id + 1};
    input.facts.settings.min_bytes = script.min_pages * kPageBytes;
    input.facts.settings.max_bytes = script.max_pages * kPageBytes;
    inputs_.push_back(std::move(input));
  }
  estimates_.resize(inputs_.size());
}

bool SimHost::is_stuck(uint32_t id) const {
  const GuestScript& script = scenario_.guests[id];
  const uint32_t now_ms = tick_ * kTickMs;
  return now_ms >= script.stuck_from_ms && now_ms < script.stuck_until_ms;
}

void SimHost::tick() {
  const auto count = static_cast<uint32_t>(guests_.size());
  // Whoever is first at disk and pool, is it only once.
  const auto turn = [&](uint32_t i) { return (i + tick_) % count; };
  for (uint32_t i = 0; i < count; ++i) {
    guests_[turn(i)]->begin_tick();
    if (!is_stuck(turn(i))) guests_[turn(i)]->inflate(target_pages_[turn(i)]);
  }
  for (uint32_t i = 0; i < count; ++i)
    if (!is_stuck(turn(i))) guests_[turn(i)]->deflate(target_pages_[turn(i)]);
  pool_.keep_head_room();
  bool urgent = false;
  const uint32_t shrink_ticks = constants_.agent.shrink_period_ms / kTickMs;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t id = turn(i);
    guests_[id]->run(tick_);
    if (tick_ % shrink_ticks == 0) guests_[id]->self_shrink(tick_);
    urgent |= agents_[id].observe(*guests_[id], tick_, inputs_[id].report);
  }
  disk_.end_tick();
  lent_bytes_ticks_ += static_cast<double>(pool_.freeable_bytes());
  measure();
  TMEM_ASSERT(pool_.guests_bytes() + pool_.held_bytes() <= pool_.total_bytes());
  ++tick_;
  if (tick_ * kTickMs % strategy_.period_ms() == 0 || (urgent && strategy_.wants_urgent()))
    decide();
}

void SimHost::measure() {
  uint64_t need_pages = 0;
  for (const auto& guest : guests_) need_pages += guest->need_pages();
  const bool fits = need_pages * kPageBytes <= pool_.total_bytes() - pool_.head_room_bytes();
  for (uint32_t id = 0; id < guests_.size(); ++id)
    measures_[id].tick(*guests_[id], pool_, id, tick_, fits);
}

policy::HostView SimHost::view() const {
  policy::HostView host;
  host.now_ms = tick_ * kTickMs;
  host.total_bytes = pool_.total_bytes();
  host.free_bytes = pool_.free_bytes();
  host.head_room_bytes = pool_.head_room_bytes();
  host.pool_held_bytes = pool_.held_bytes();
  host.pool_freeable_bytes = pool_.freeable_bytes();
  return host;
}

void SimHost::decide() {
  for (uint32_t id = 0; id < guests_.size(); ++id) {
    policy::GuestFacts& facts = inputs_[id].facts;
    facts.actual_bytes = guests_[id]->actual_pages() * kPageBytes;
    facts.target_bytes = target_pages_[id] * kPageBytes;
    facts.pool = pool_.use(id);
    estimates_[id] = estimator_.update(tick_ * kTickMs, inputs_[id]);
  }
  const policy::HostView host = view();
  const policy::BoundedPlan plan =
      policy::bound(host, estimates_, strategy_.plan(host, estimates_));
  for (const policy::BoundedTarget& target : plan.targets()) {
    const auto id = static_cast<uint32_t>(target.id) - 1;
    const uint64_t pages = target.target_bytes / kPageBytes;
    if (target_pages_[id] != pages) ++moved_;
    target_pages_[id] = pages;
  }
}

RunResult SimHost::run() {
  while (tick_ < ticks()) tick();
  return result();
}

RunResult SimHost::result() {
  const auto count = static_cast<double>(guests_.size());
  RunResult result;
  double max_bytes = 0;
  const auto worst = [](std::optional<double>& kept, const std::optional<double>& value) {
    if (value && (!kept || *value > *kept)) kept = value;
  };
  for (uint32_t id = 0; id < guests_.size(); ++id) {
    measures_[id].finish(tick_);
    const GuestResult guest = measures_[id].result(*guests_[id]);
    result.stall_some += guest.stall_some / count;
    result.stall_full += guest.stall_full / count;
    result.freed_bytes += guest.freed_bytes;
    result.starved_s += guest.starved_s;
    result.starved_all_s += guest.starved_all_s;
    result.disk_reads += guest.disk_reads;
    max_bytes += static_cast<double>(scenario_.guests[id].max_pages) * kPageBytes;
    worst(result.burst_ms, measures_[id].burst_ms(*guests_[id], tick_));
    worst(result.burst_balloon_ms, measures_[id].burst_balloon_ms());
    result.guests.push_back(guest);
  }
  result.freed_ratio = result.freed_bytes / max_bytes;
  result.lent_bytes = lent_bytes_ticks_ / std::max(1u, tick_);
  result.targets_moved_per_min =
      static_cast<double>(moved_) / count / (tick_ * double{kTickMs} / 60'000);
  return result;
}

}  // namespace tmem::lab::policies
