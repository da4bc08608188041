// SPDX-License-Identifier: GPL-2.0-or-later
// Balloons that guests set by themselves: what their agents are told, and how the balloons come
// back.
#include <algorithm>

#include "tmemd/arbiter/arbiter.h"
#include "tmemd/transport/xen/nodes.h"

namespace tmem::arbiter {
namespace {

// An agent is not told at once of a higher bound, if it is only a little higher.
constexpr uint64_t kRaiseMinKib = 16 * 1024;

// What it has reported since; while the policy is off no loop tells.
policy::Estimate said_since_taken_back(const Guest& guest) {
  policy::Estimate estimate;
  const auto& report = guest.sight.report;
  if (!report || report == guest.report_when_taken_back) return estimate;
  if (const auto sample = policy::parse_report(*report)) estimate.sample = *sample;
  return estimate;
}

}  // namespace

bool Arbiter::may_set_itself(const Guest& guest, const policy::Estimate& estimate,
                             uint64_t now_ms) const {
  if (mode_ != Mode::kHost || !guest.sight.has_balloon || guest.rule.mode != GuestMode::kGuest)
    return false;
  if (guest.handover.owner() == Handover::Owner::kGuest) return guest.handover.fault() == nullptr;
  return guest.handover.may_take(estimate, now_ms);
}

void Arbiter::hand_over(Guest& guest, uint64_t ceiling_bytes, uint64_t now_ms) {
  const uint64_t floor_kib = guest.settings.min_bytes / kKiB;
  const uint64_t ceiling_kib = std::max(floor_kib, ceiling_bytes / kKiB);
  const bool has_it = guest.handover.owner() == Handover::Owner::kGuest;
  if (has_it && guest.told && floor_kib == guest.floor_kib && ceiling_kib >= guest.ceiling_kib &&
      ceiling_kib < guest.ceiling_kib + kRaiseMinKib)
    return;
  const std::string path = tmem_path(guest.sight.id);
  const XenStore::Nodes nodes = {{path + "/min_kib", std::to_string(floor_kib)},
                                 {path + "/max_kib", std::to_string(ceiling_kib)},
                                 {path + "/mode", "guest"}};
  // Else the guest could write there what it likes to be told.
  const XenStore::Folder folder{path, {transport::xen::kOurDomain, guest.sight.id}};
  if (!write(guest, nodes, guest.told ? nullptr : &folder)) return;
  guest.told = true;
  guest.floor_kib = floor_kib;
  guest.ceiling_kib = ceiling_kib;
  if (!has_it) guest.handover.told_to_take(now_ms);
}

void Arbiter::take_back(Guest& guest, uint64_t now_ms) {
  if (!write(guest, {{tmem_path(guest.sight.id) + "/mode", "host"}})) return;
  if (const char* const fault = guest.handover.fault())
    world_.log(title(guest) + " does not set its own balloon any more: " + fault);
  guest.told = false;
  guest.taken_back = true;
  guest.report_when_taken_back = guest.sight.report;
  guest.handover.told_to_return(now_ms);
}

// Until all that guests were told is undone, also that of an earlier tmemd; then nothing is looked
// at any more.
Result<void> Arbiter::let_go(uint64_t now_ms) {
  if (let_go_) return {};
  TMEM_TRY(std::vector<GuestSight> sights, census_.take(now_ms, Census::Of::kAll));
  adopt(std::move(sights), now_ms);
  let_go_ = true;
  for (auto& [id, guest] : guests_) {
    if (guest.handover.owner() == Handover::Owner::kReturning)
      guest.handover.note(said_since_taken_back(guest), guest.ceiling_kib * kKiB, now_ms);
    const bool grows = unfinished_growth_bytes(guest) != 0;
    if (guest.handover.owner() == Handover::Owner::kGuest)
      take_back(guest, now_ms);
    else if (guest.taken_back && guest.handover.host_may_write())
      settle(guest);
    else if (grows)
      give_growth_up(guest, now_ms);
    let_go_ = let_go_ && guest.sight.mode != "guest" && !grows && !guest.taken_back;
  }
  // Seen anew when the policy is on again.
  if (let_go_) guests_.clear();
  return {};
}

}  // namespace tmem::arbiter
