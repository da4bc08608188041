// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/sim_host.h"

#include <algorithm>

#include "libtmem/base/assert.h"
#include "policy/guard.h"

namespace tmem::lab::policies {
namespace {

constexpr uint32_t kTaxTicks = 60'000 / kTickMs;

// Before the first decision each guest has its share of the host by size.
uint64_t first_pages(const Scenario& scenario, const GuestScript& script, uint64_t usable_pages) {
  uint64_t sum_pages = 0;
  for (const GuestScript& each : scenario.guests) sum_pages += each.max_pages;
  return std::min(script.max_pages, usable_pages * script.max_pages / sum_pages);
}

void add_burst(const BurstResult& burst, const MeasureConstants& constants, RunResult& result) {
  ++result.bursts;
  result.bursts_in_time += burst.late_ms <= constants.burst_goal_ms;
  result.bursts_balloon_in_time += burst.balloon_ms <= constants.burst_balloon_goal_ms;
  result.burst_ms = std::max(result.burst_ms.value_or(0), burst.late_ms);
  result.burst_balloon_ms = std::max(result.burst_balloon_ms.value_or(0), burst.balloon_ms);
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
  for (uint32_t id = 0; id < scenario.guests.size(); ++id) {
    const GuestScript& script = scenario.guests[id];
    const uint64_t pages = pool_.give(first_pages(scenario, script, usable_pages));
    guests_.push_back(std::make_unique<SimGuest>(scenario, id, constants_, pool_, disk_, pages));
    agents_.emplace_back(script, constants_.agent, strategy);
    measures_.emplace_back(script, constants_.measure);
    target_pages_.push_back(pages);
    policy::GuestInput input;
    input.facts.id = policy::GuestId{id + 1};
    input.facts.settings.min_bytes = script.min_pages * kPageBytes;
    input.facts.settings.max_bytes = script.max_pages * kPageBytes;
    inputs_.push_back(std::move(input));
  }
  urgent_turns_of_.resize(inputs_.size());
  estimates_.resize(inputs_.size());
  progress_.resize(inputs_.size());
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
  if (pool_.enabled() && tick_ * kTickMs % constants_.write_back.period_ms == 0)
    wants_write_back_ = write_back_.update(pool_.persistent_bytes(), pool_.limit_bytes());
  bool urgent = false;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t id = turn(i);
    guests_[id]->run(tick_);
    if (wants_write_back_) guests_[id]->write_back(tick_);
    if (pool_.enabled())
      agents_[id].self_shrink(*guests_[id], pool_.use(id).persistent_pages, tick_);
    const bool short_of_memory = agents_[id].observe(*guests_[id], tick_, inputs_[id].report);
    urgent |= short_of_memory && strategy_.wants_urgent() &&
              urgent_turns_.take(urgent_turns_of_[id], tick_ * kTickMs);
  }
  disk_.end_tick();
  if (tick_ % kTaxTicks == 0) tax_idle_guests();
  if (is_measured()) lent_bytes_ticks_ += static_cast<double>(pool_.freeable_bytes());
  measure();
  TMEM_ASSERT(pool_.guests_bytes() + pool_.held_bytes() <= pool_.total_bytes());
  ++tick_;
  if (tick_ * kTickMs % strategy_.period_ms() == 0 || urgent) decide();
}

bool SimHost::is_measured() const {
  return tick_ * kTickMs >= constants_.measure.warm_up_ms;
}

void SimHost::tax_idle_guests() {
  if (constants_.pool.eviction != Eviction::kOurs) return;
  std::vector<policy::TaxInput> inputs;
  for (uint32_t id = 0; id < guests_.size(); ++id)
    inputs.push_back({{id, 0}, scenario_.guests[id].weight, pool_.use(id)});
  pool_.set_weights(idle_tax_.weights(inputs));
}

void SimHost::measure() {
  uint64_t need_pages = 0;
  for (const auto& guest : guests_) need_pages += guest->need_pages();
  const bool fits = need_pages * kPageBytes <= pool_.total_bytes() - pool_.head_room_bytes();
  for (uint32_t id = 0; id < guests_.size(); ++id)
    measures_[id].tick(*guests_[id], pool_.persistent_bytes(id), tick_, fits);
}

policy::HostView SimHost::view() const {
  policy::HostView host;
  host.now_ms = tick_ * kTickMs;
  host.total_bytes = pool_.total_bytes();
  host.free_bytes = pool_.free_bytes();
  host.head_room_bytes = pool_.head_room_bytes();
  host.has_pool = pool_.enabled();
  host.pool_held_bytes = pool_.held_bytes();
  host.pool_freeable_bytes = pool_.freeable_bytes();
  return host;
}

void SimHost::decide() {
  for (uint32_t id = 0; id < guests_.size(); ++id) {
    policy::GuestFacts& facts = inputs_[id].facts;
    facts.actual_bytes = guests_[id]->actual_pages() * kPageBytes;
    facts.target_bytes = target_pages_[id] * kPageBytes;
    if (facts.first_bytes == 0)
      facts.first_bytes = std::max(facts.actual_bytes, facts.target_bytes);
    progress_[id].note(facts.actual_bytes, facts.target_bytes, /*asked=*/true, tick_ * kTickMs);
    facts.can_balloon = !progress_[id].stuck();
    facts.pool = pool_.use(id);
    estimates_[id] = estimator_.update(tick_ * kTickMs, inputs_[id]);
  }
  const policy::HostView host = view();
  const policy::BoundedPlan plan =
      policy::bound(host, estimates_, strategy_.plan(host, estimates_));
  for (const policy::BoundedTarget& target : plan.targets())
    set_target(static_cast<uint32_t>(target.id) - 1, target.target_bytes);
}

// What tmemd does for each strategy: a stuck guest is left alone, and does not keep a promise of
// more.
void SimHost::set_target(uint32_t id, uint64_t target_bytes) {
  const policy::GuestFacts& facts = inputs_[id].facts;
  if (!facts.can_balloon) {
    if (facts.target_bytes <= facts.actual_bytes + policy::balloon_slack_bytes(facts.target_bytes))
      return;
    target_bytes = facts.actual_bytes;
    progress_[id].give_up(tick_ * kTickMs);
  }
  const uint64_t pages = target_bytes / kPageBytes;
  if (target_pages_[id] != pages && is_measured()) ++moved_;
  target_pages_[id] = pages;
}

RunResult SimHost::run() {
  while (tick_ < ticks()) tick();
  return result();
}

RunResult SimHost::result() {
  const auto count = static_cast<double>(guests_.size());
  RunResult result;
  double max_bytes = 0;
  for (uint32_t id = 0; id < guests_.size(); ++id) {
    const GuestResult guest = measures_[id].result(*guests_[id]);
    result.stall_some += guest.stall_some / count;
    result.stall_full += guest.stall_full / count;
    result.freed_bytes += guest.freed_bytes;
    result.starved_s += guest.starved_s;
    result.starved_all_s += guest.starved_all_s;
    result.disk_reads += guest.disk_reads;
    max_bytes += static_cast<double>(scenario_.guests[id].max_pages) * kPageBytes;
    for (const BurstResult& burst : measures_[id].bursts(*guests_[id], tick_))
      add_burst(burst, constants_.measure, result);
    result.guests.push_back(guest);
  }
  result.freed_ratio = result.freed_bytes / max_bytes;
  const uint32_t warm_up_ticks = constants_.measure.warm_up_ms / kTickMs;
  const double ticks = std::max(1u, tick_ - std::min(tick_, warm_up_ticks));
  result.lent_bytes = lent_bytes_ticks_ / ticks;
  result.targets_moved_per_min = static_cast<double>(moved_) / count / (ticks * kTickMs / 60'000);
  return result;
}

}  // namespace tmem::lab::policies
