// SPDX-License-Identifier: GPL-2.0-or-later
// From a tick's record to what is written: targets, and what agents are told.
#include <algorithm>
#include <utility>

#include "tmemd/arbiter/arbiter.h"
#include "tmemd/arbiter/ceilings.h"
#include "tmemd/transport/xen/nodes.h"

namespace tmem::arbiter {
namespace {

// An agent is not told of smaller changes of its bounds; of lower ones sooner.
constexpr uint64_t kRaiseMinKib = 16 * 1024;
constexpr uint64_t kLowerMinKib = 1024;

bool is_order(policy::Bound bound) {
  switch (bound) {
    case policy::Bound::kNone:
    case policy::Bound::kMinimum:
    case policy::Bound::kMaximum:
    case policy::Bound::kHost:
      return true;
    case policy::Bound::kStale:
    case policy::Bound::kNoBalloon:
    case policy::Bound::kUnchanged:
      break;
  }
  return false;
}

}  // namespace

bool Arbiter::wants_guest_mode(const Guest& guest) const {
  return mode_ == Mode::kHost && guest.sight.has_balloon && guest.rule.mode == GuestMode::kGuest;
}

void Arbiter::act(const policy::TickRecord& tick) {
  const uint64_t now_ms = tick.host.now_ms;
  std::set<policy::GuestId> autonomous;
  for (const policy::GuestRecord& record : tick.guests) {
    Guest& guest = guests_.at(DomId{static_cast<uint16_t>(record.input.facts.id)});
    guest.handover.note_report(record.estimate, now_ms);
    note_decision(guest, record, now_ms);
    follow_balloon(guest, now_ms);
    if (wants_guest_mode(guest)) autonomous.insert(record.input.facts.id);
  }
  const auto ceilings_bytes = ceilings(tick, autonomous);
  for (const policy::GuestRecord& record : tick.guests) {
    const policy::GuestId id = record.input.facts.id;
    Guest& guest = guests_.at(DomId{static_cast<uint16_t>(id)});
    if (autonomous.contains(id))
      hand_over(guest, ceilings_bytes.at(id), now_ms);
    else if (guest.handover.owner() == Handover::Owner::kGuest)
      take_back(guest, now_ms);
    else
      write_target(guest, record.bounded, now_ms);
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

// A target that somebody else wrote is not ours to wait for.
void Arbiter::follow_balloon(Guest& guest, uint64_t now_ms) {
  const bool asked = mode_ == Mode::kHost && guest.handover.host_may_write() &&
                     guest.target_written_ms != 0 &&
                     guest.sight.target_bytes == guest.target_written_bytes;
  const uint64_t target_bytes = guest.sight.target_bytes.value_or(0);
  if (guest.progress.note(guest.sight.actual_bytes, target_bytes, asked, now_ms))
    world_.log(title(guest) + " is uncooperative: it has " +
               std::to_string(guest.sight.actual_bytes / kMiB) + " MiB, was asked to have " +
               std::to_string(target_bytes / kMiB) + " and has not moved for 20 s");
}

uint64_t Arbiter::surplus_bytes() const {
  uint64_t sum = 0;
  for (const auto& [id, guest] : guests_) {
    const bool ours = guest.handover.host_may_write() && guest.sight.has_balloon &&
                      !guest.progress.stuck() &&
                      guest.rule.mode.value_or(GuestMode::kHost) == GuestMode::kHost;
    if (ours && guest.sight.actual_bytes > guest.settings.min_bytes)
      sum += guest.sight.actual_bytes - guest.settings.min_bytes;
  }
  return sum;
}

bool Arbiter::write(Guest& guest, const transport::xen::XenStore::Nodes& nodes) {
  const auto written =
      world_.xenstore->write_while(transport::xen::domain_path(guest.sight.id) + "/name", nodes);
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

void Arbiter::write_target(Guest& guest, const policy::BoundedTarget& bounded, uint64_t now_ms) {
  if (mode_ != Mode::kHost || !guest.handover.host_may_write() || !guest.sight.has_balloon ||
      guest.rule.mode.value_or(GuestMode::kHost) != GuestMode::kHost || !is_order(bounded.bound))
    return;
  const uint64_t kib = std::min(bounded.target_bytes, guest.sight.ceiling_bytes) / kKiB;
  if (guest.sight.target_bytes == kib * kKiB) return;
  if (!write(guest, {{target_path(guest.sight.id), std::to_string(kib)}})) return;
  guest.sight.target_bytes = kib * kKiB;
  ++guest.targets_written;
  guest.target_written_ms = now_ms;
  guest.target_written_bytes = kib * kKiB;
}

void Arbiter::hand_over(Guest& guest, uint64_t ceiling_bytes, uint64_t now_ms) {
  const uint64_t floor_kib = guest.settings.min_bytes / kKiB;
  const uint64_t ceiling_kib = std::max(floor_kib, ceiling_bytes / kKiB);
  const bool has_it = guest.handover.owner() == Handover::Owner::kGuest;
  const bool told = guest.ceiling_kib != 0;  // by this tmemd
  if (has_it && told && floor_kib == guest.floor_kib &&
      ceiling_kib < guest.ceiling_kib + kRaiseMinKib &&
      ceiling_kib + kLowerMinKib > guest.ceiling_kib)
    return;
  const std::string path = tmem_path(guest.sight.id);
  if (!told) {
    // Else the guest could write there what it likes to be told.
    const auto made = world_.xenstore->make(path, {transport::xen::kOurDomain, guest.sight.id});
    if (!made) {
      ++guest.write_errors;
      if (!std::exchange(guest.write_failed, true))
        world_.log(title(guest) + " cannot be given its balloon: " + made.error().message);
      return;
    }
  }
  const bool written = write(guest, {{path + "/min_kib", std::to_string(floor_kib)},
                                     {path + "/max_kib", std::to_string(ceiling_kib)},
                                     {path + "/mode", "guest"}});
  if (guest.gone) world_.xenstore->remove(path);
  if (!written) return;
  guest.floor_kib = floor_kib;
  guest.ceiling_kib = ceiling_kib;
  if (!has_it) guest.handover.told_to_take(now_ms);
}

void Arbiter::take_back(Guest& guest, uint64_t now_ms) {
  if (!write(guest, {{tmem_path(guest.sight.id) + "/mode", "host"}})) return;
  guest.ceiling_kib = 0;
  guest.handover.told_to_return(now_ms);
}

void Arbiter::hand_all_back(uint64_t now_ms) {
  for (auto& [id, guest] : guests_)
    if (guest.handover.owner() == Handover::Owner::kGuest) take_back(guest, now_ms);
  // Seen anew when the policy is on again.
  guests_.clear();
}

}  // namespace tmem::arbiter
