// SPDX-License-Identifier: GPL-2.0-or-later
// From a tick's record to what is written: targets, and what agents are told.
#include <algorithm>
#include <utility>

#include "policy/spare.h"
#include "tmemd/arbiter/arbiter.h"
#include "tmemd/arbiter/ceilings.h"
#include "tmemd/arbiter/records.h"
#include "tmemd/transport/xen/nodes.h"

namespace tmem::arbiter {
namespace {

constexpr uint64_t kComplainEveryMs = 600'000;

bool is_order(const policy::GuestRecord& record) {
  switch (record.bounded.bound) {
    case policy::Bound::kNone:
    case policy::Bound::kMinimum:
    case policy::Bound::kMaximum:
    case policy::Bound::kHost:
      return true;
    case policy::Bound::kStale:  // what it has borrowed is not held for it
      return record.bounded.target_bytes < record.input.facts.target_bytes;
    case policy::Bound::kNoBalloon:
    case policy::Bound::kUnchanged:
      break;
  }
  return false;
}

uint64_t can_free_bytes(const policy::Sample& sample, const policy::GuestSettings& settings) {
  return minus_or_zero(policy::spare_bytes(sample),
                       policy::spare_min_bytes(sample, settings.max_bytes));
}

}  // namespace

void Arbiter::act(const policy::TickRecord& tick) {
  const uint64_t now_ms = tick.host.now_ms;
  std::set<policy::GuestId> autonomous;
  for (const policy::GuestRecord& record : tick.guests) {
    Guest& guest = guests_.at(DomId{static_cast<uint16_t>(record.input.facts.id)});
    guest.handover.note(record.estimate, guest.ceiling_kib * kKiB, now_ms);
    if (guest.handover.host_may_write()) guest.ceiling_kib = 0;
    guest.reported = guest.reported || record.estimate.sample.has_value();
    note_decision(guest, record, now_ms);
    follow_balloon(guest, now_ms);
    if (may_set_itself(guest, record.estimate, now_ms)) autonomous.insert(record.input.facts.id);
  }
  const auto ceilings_bytes = ceilings(tick, autonomous);
  for (const policy::GuestRecord& record : tick.guests) {
    const policy::GuestId id = record.input.facts.id;
    Guest& guest = guests_.at(DomId{static_cast<uint16_t>(id)});
    if (autonomous.contains(id))
      hand_over(guest, ceilings_bytes.at(id), now_ms);
    else if (guest.handover.owner() == Handover::Owner::kGuest)
      take_back(guest, now_ms);
    else if (guest.taken_back && guest.handover.host_may_write())
      settle(guest);
    else if (!is_scheduled(guest) && unfinished_growth_bytes(guest) != 0)
      give_growth_up(guest, now_ms);
    else
      write_target(guest, record, now_ms);
  }
  std::erase_if(guests_, [](const auto& entry) { return entry.second.gone; });
}

void Arbiter::note_decision(Guest& guest, const policy::GuestRecord& record, uint64_t now_ms) {
  const std::string reason = record.bounded.reason;
  if (guest.since_ms != 0 && guest.reason == reason && guest.bound == record.bounded.bound) return;
  guest.reason = reason;
  guest.bound = record.bounded.bound;
  guest.since_ms = now_ms;
}

// A target that somebody else wrote is not ours to wait for. Who sets its own balloon was given
// what its bound allows.
void Arbiter::follow_balloon(Guest& guest, uint64_t now_ms) {
  const bool asked = mode_ == Mode::kHost && guest.handover.host_may_write() &&
                     guest.target_written_ms != 0 &&
                     guest.sight.target_bytes == guest.target_written_bytes;
  const uint64_t target_bytes = guest.ceiling_kib != 0
                                    ? guest.ceiling_kib * kKiB
                                    : guest.sight.target_bytes.value_or(guest.sight.actual_bytes);
  if (guest.progress.note(guest.sight.actual_bytes, target_bytes, asked, now_ms))
    complain_of_balloon(guest, now_ms);
}

void Arbiter::complain_of_balloon(Guest& guest, uint64_t now_ms) {
  if (guest.complained_ms != 0 && now_ms - guest.complained_ms < kComplainEveryMs) return;
  guest.complained_ms = now_ms;
  const auto mib = [](uint64_t bytes) { return std::to_string(bytes / kMiB); };
  std::string line = title(guest) + " is uncooperative: it has " + mib(guest.sight.actual_bytes) +
                     " MiB, was asked to have " + mib(guest.sight.target_bytes.value_or(0)) +
                     " and has not come closer for 20 s";
  if (const uint64_t over_bytes = guest.progress.over_bytes(); over_bytes != 0)
    line += "; it was never given " + mib(over_bytes) + " MiB of it: see xl mem-max";
  world_.log(line);
}

bool Arbiter::is_scheduled(const Guest& guest) const {
  return mode_ == Mode::kHost && guest.handover.host_may_write() && guest.sight.has_balloon &&
         !guest.progress.stuck() && guest.rule.mode != GuestMode::kOff;
}

uint64_t Arbiter::promised_bytes(const Guest& guest) const {
  if (guest.handover.owner() == Handover::Owner::kReturning)
    return minus_or_zero(std::min(guest.ceiling_kib * kKiB, guest.sight.ceiling_bytes),
                         guest.sight.actual_bytes);
  return is_scheduled(guest) ? 0 : unfinished_growth_bytes(guest);
}

uint64_t Arbiter::unfinished_growth_bytes(const Guest& guest) const {
  const uint64_t target_bytes = guest.sight.target_bytes.value_or(0);
  if (!guest.handover.host_may_write() || target_bytes != guest.target_written_bytes) return 0;
  const uint64_t bytes = minus_or_zero(target_bytes, guest.sight.actual_bytes);
  return bytes > policy::balloon_slack_bytes(target_bytes) ? bytes : 0;
}

void Arbiter::give_growth_up(Guest& guest, uint64_t now_ms) {
  if (write_what_it_was_given(guest)) guest.progress.give_up(now_ms);
}

// The agent told its kernel another target than the one in xenstore, which is not looked at again
// until it is written.
void Arbiter::settle(Guest& guest) {
  if (write_what_it_was_given(guest)) guest.taken_back = false;
}

// Of what it has: what it took by itself does not become its own.
bool Arbiter::write_what_it_was_given(Guest& guest) {
  const uint64_t kib = minus_or_zero(guest.sight.actual_bytes, guest.progress.over_bytes()) / kKiB;
  if (!write(guest, {{target_path(guest.sight.id), std::to_string(kib)}})) return false;
  guest.sight.target_bytes = kib * kKiB;
  guest.target_written_bytes = 0;  // nobody waits for it
  return true;
}

// Down to their minima, but no more than those that report can make free. Who took memory by itself
// is not expected to give any.
uint64_t Arbiter::surplus_bytes() const {
  uint64_t sum = 0;
  for (const auto& [id, guest] : guests_) {
    if (!is_scheduled(guest) || guest.progress.uncooperative()) continue;
    const uint64_t above = minus_or_zero(guest.sight.actual_bytes, guest.settings.min_bytes);
    const policy::GuestRecord* const known = record_of(loop_.last(), policy_id(id));
    const bool reports = known != nullptr && known->estimate.sample;
    sum +=
        reports ? std::min(above, can_free_bytes(*known->estimate.sample, guest.settings)) : above;
  }
  return sum;
}

bool Arbiter::write(Guest& guest, const XenStore::Nodes& nodes, const XenStore::Folder* folder) {
  const std::string name = transport::xen::domain_path(guest.sight.id) + "/name";
  const auto written = folder != nullptr ? world_.xenstore->write_while(name, *folder, nodes)
                                         : world_.xenstore->write_while(name, nodes);
  if (written) {
    guest.write_failed = false;
    return true;
  }
  if (written.error().code == Errc::kNotFound) {
    guest.gone = true;
    return false;
  }
  ++guest.write_errors;
  if (!std::exchange(guest.write_failed, true))
    world_.log(title(guest) + " cannot be told its memory: " + written.error().message);
  return false;
}

void Arbiter::write_target(Guest& guest, const policy::GuestRecord& record, uint64_t now_ms) {
  if (!is_scheduled(guest) || !is_order(record)) return;
  const uint64_t kib = std::min(record.bounded.target_bytes, guest.sight.ceiling_bytes) / kKiB;
  if (guest.sight.target_bytes == kib * kKiB) return;
  if (!write(guest, {{target_path(guest.sight.id), std::to_string(kib)}})) return;
  guest.sight.target_bytes = kib * kKiB;
  ++guest.targets_written;
  guest.target_written_ms = now_ms;
  guest.target_written_bytes = kib * kKiB;
}

}  // namespace tmem::arbiter
