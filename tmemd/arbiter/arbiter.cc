// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/arbiter.h"

#include <algorithm>
#include <utility>

#include "policy/decision_log.h"
#include "tmem/text.hpp"
#include "tmemd/arbiter/ceilings.h"
#include "tmemd/arbiter/guest_rules.h"
#include "tmemd/arbiter/pool_use.h"
#include "tmemd/arbiter/records.h"

namespace tmem::arbiter {
namespace {

constexpr uint64_t kAskForRivalsMs = 10'000;

}  // namespace

Arbiter::Arbiter(Settings settings, World world, policy::Loop loop)
    : settings_(std::move(settings)),
      world_(std::move(world)),
      loop_(std::move(loop)),
      census_(*world_.xenstore, *world_.domains),
      watches_(*world_.xenstore) {}

Result<std::unique_ptr<Arbiter>> Arbiter::create(Settings settings, World world) {
  TMEM_TRY(policy::Loop loop, policy::Loop::create(settings.strategy, settings.knob));
  std::unique_ptr<Arbiter> arbiter(
      new Arbiter(std::move(settings), std::move(world), std::move(loop)));
  const Settings& own = arbiter->settings_;
  if (!own.log_path.empty()) {
    TMEM_TRY(arbiter->log_,
             DecisionFile::start(own.log_path, own.log_bytes_max, arbiter->world_.log));
  }
  return arbiter;
}

bool Arbiter::handle_events(uint64_t now_ms) {
  bool urgent = false;
  for (const DomId id : watches_.written(now_ms)) {
    const auto text = world_.xenstore->read(report_path(id));
    const auto sample = text ? policy::parse_report(*text) : fail(Errc::kNotFound, "");
    if (!sample || mode_ == Mode::kOff || !loop_.wants_urgent()) continue;
    const policy::GuestRecord* const known = record_of(loop_.last(), policy_id(id));
    const bool first = known == nullptr || !known->estimate.sample;
    if (!first && sample->urgent > known->estimate.sample->urgent)
      urgent = may_hurry(id, now_ms) || urgent;
  }
  return urgent;
}

bool Arbiter::may_hurry(DomId id, uint64_t now_ms) {
  const auto guest = guests_.find(id);
  return guest != guests_.end() && urgent_turns_.take(guest->second.urgent, now_ms);
}

void Arbiter::settle_mode(uint64_t now_ms) {
  const Mode before = mode_;
  const std::string rival_before = rival_;
  if (rival_asked_ms_ == 0 || now_ms - rival_asked_ms_ >= kAskForRivalsMs) {
    rival_asked_ms_ = std::max<uint64_t>(now_ms, 1);
    rival_ = world_.rival ? world_.rival() : "";
  }
  mode_ = settings_.mode == Mode::kHost && !rival_.empty() ? Mode::kAdvise : settings_.mode;
  if (mode_ == before && (rival_ == rival_before || settings_.mode != Mode::kHost)) return;
  const std::string line = "the policy's mode is " + std::string(word_of(kModeWords, mode_));
  if (mode_ == settings_.mode) return world_.note(line);
  world_.log(line + ", not host as configured: " + rival_ +
             " sets the guests' memory here; stop it first");
}

void Arbiter::turn(uint64_t now_ms) {
  settle_mode(now_ms);
  if (mode_ != Mode::kHost && world_.on_surplus) world_.on_surplus(0);
  if (mode_ == Mode::kOff) return turn_off(now_ms);
  let_go_ = false;
  const auto host = look_at_host(now_ms);
  if (!host) return hold(host.error());
  blind_.clear();
  // The loop knows guests by their number.
  const bool recycled = std::exchange(recycled_, false);
  if (recycled || next_loop_ || (log_ != nullptr && log_->needs_start(now_ms)))
    begin_loop_anew(now_ms);
  const policy::TickRecord& tick = loop_.tick(*host, inputs());
  ++turns_;
  if (log_ != nullptr && !tick.guests.empty()) log_->append(policy::tick_lines(tick), now_ms);
  act(tick);
  if (mode_ == Mode::kHost && world_.on_surplus) world_.on_surplus(surplus_bytes());
}

void Arbiter::turn_off(uint64_t now_ms) {
  watches_.follow({}, now_ms);
  const auto done = let_go(now_ms);
  if (!done) return hold(done.error());
  blind_.clear();
}

// Nothing is promised on what cannot be seen.
void Arbiter::hold(const Error& why) {
  if (world_.on_surplus) world_.on_surplus(0);
  if (blind_.empty()) world_.log("the policy holds all targets: " + why.message);
  blind_ = why.message;
}

void Arbiter::begin_loop_anew(uint64_t now_ms) {
  // Only names that create() knew get here.
  auto loop = policy::Loop::create(settings_.strategy, settings_.knob);
  if (next_loop_)
    loop_ = *std::exchange(next_loop_, std::nullopt);
  else if (loop)
    loop_ = *std::move(loop);
  if (log_ != nullptr) log_->start_anew(policy::start_line(loop_), now_ms);
}

// The census begins with what Xen says that each guest has, and takes a while: memory that moves
// meanwhile is counted once, where it was.
Result<policy::HostView> Arbiter::look_at_host(uint64_t now_ms) {
  TMEM_TRY(const HostShare share, world_.host());
  TMEM_CHECK(take_census(now_ms));
  return host_view(share, now_ms);
}

Result<void> Arbiter::take_census(uint64_t now_ms) {
  TMEM_TRY(std::vector<GuestSight> sights, census_.take(now_ms, Census::Of::kRunning));
  adopt(std::move(sights), now_ms);
  std::vector<DomId> ids;
  for (const auto& [id, guest] : guests_) ids.push_back(id);
  watches_.follow(ids, now_ms);
  return {};
}

void Arbiter::adopt(std::vector<GuestSight> sights, uint64_t now_ms) {
  recycled_ = recycled_ || (sights.empty() && !guests_.empty());
  std::map<DomId, Guest> guests;
  for (GuestSight& sight : sights) {
    const store::ClientIdentity identity{sight.uuid, sight.id, sight.name};
    const auto old = guests_.find(sight.id);
    const bool known = old != guests_.end() && old->second.sight.uuid == sight.uuid;
    recycled_ = recycled_ || (old != guests_.end() && !known);
    Guest guest = known ? std::move(old->second)
                        : Guest{.sight = {},
                                .rule = {},
                                .settings = {},
                                .handover = Handover(sight.mode, now_ms),
                                .progress = {},
                                .urgent = {},
                                .report_when_taken_back = {},
                                .reason = {}};
    if (!known) guest.ceiling_kib = sight.told_max_bytes / kKiB;
    guest.rule = world_.rule_for(identity);
    if (const auto change = changed_.find(sight.uuid); change != changed_.end())
      guest.rule.overlay(change->second);
    guest.settings =
        effective_settings(guest.rule, sight.ceiling_bytes, world_.pool_weight_for(identity));
    guest.sight = std::move(sight);
    guest.sight.has_balloon =
        guest.sight.has_balloon || (guest.reported && !guest.sight.denies_balloon);
    guests.emplace(guest.sight.id, std::move(guest));
  }
  guests_ = std::move(guests);
}

policy::GuestInput Arbiter::input_of(Guest& guest, const store::ClientStats* client) {
  policy::GuestInput input;
  input.report = guest.sight.report;
  policy::GuestFacts& facts = input.facts;
  facts.id = policy_id(guest.sight.id);
  if (client != nullptr)  // its weight in the pool may have been changed while it runs
    guest.settings.weight = guest.rule.weight.value_or(client->settings.weight);
  facts.settings = guest.settings;
  facts.actual_bytes = guest.sight.actual_bytes;
  if (client != nullptr) facts.pool = pool_use_of(*client);
  // Who sets its own balloon has the target that it has reached.
  const bool ours = guest.handover.owner() == Handover::Owner::kHost;
  facts.target_bytes =
      ours ? guest.sight.target_bytes.value_or(facts.actual_bytes) : facts.actual_bytes;
  facts.target_bytes = std::min(facts.target_bytes, guest.sight.ceiling_bytes);
  if (guest.first_bytes == 0) guest.first_bytes = std::max(facts.actual_bytes, facts.target_bytes);
  facts.first_bytes = guest.first_bytes;
  facts.has_reported = guest.reported;
  facts.can_balloon = guest.sight.has_balloon && !guest.progress.stuck() &&
                      guest.handover.owner() != Handover::Owner::kReturning &&
                      guest.rule.mode != GuestMode::kOff;
  return input;
}

std::vector<policy::GuestInput> Arbiter::inputs() {
  const std::vector<store::ClientStats> stats = world_.store.all_client_stats();
  std::vector<policy::GuestInput> inputs;
  for (auto& [id, guest] : guests_) {
    const auto client = std::ranges::find_if(stats, [&](const store::ClientStats& one) {
      return !one.is_shared_pool && one.identity.uuid == guest.sight.uuid &&
             one.identity.domid == id;
    });
    inputs.push_back(input_of(guest, client == stats.end() ? nullptr : &*client));
  }
  return inputs;
}

// What is neither a guest's, nor the pool's, nor free is none of ours: domain 0, Xen itself, and
// domains that are left out.
policy::HostView Arbiter::host_view(const HostShare& share, uint64_t now_ms) const {
  policy::HostView host;
  host.now_ms = now_ms;
  host.claims_bytes = share.claims_bytes;
  host.head_room_bytes = share.head_room_bytes;
  host.has_pool = share.has_pool;
  host.pool_held_bytes = share.pool_held_bytes;
  host.pool_freeable_bytes = std::min(share.pool_freeable_bytes, share.pool_held_bytes);
  host.total_bytes = share.free_bytes + share.pool_held_bytes;
  for (const auto& [id, guest] : guests_) {
    host.total_bytes += guest.sight.actual_bytes;
    host.claims_bytes += promised_bytes(guest);
  }
  host.claims_bytes = std::min(host.claims_bytes, share.free_bytes);
  host.free_bytes = share.free_bytes - host.claims_bytes;
  return host;
}

Result<void> Arbiter::change(const Change& change) {
  if (change.strategy || change.knob) {
    const std::string strategy = change.strategy.value_or(settings_.strategy);
    TMEM_TRY(policy::Loop loop, policy::Loop::create(strategy, change.knob));
    settings_.strategy = strategy;
    settings_.knob = change.knob;
    next_loop_ = std::move(loop);
  }
  if (change.mode) settings_.mode = *change.mode;
  if (change.guest.empty()) return {};
  TMEM_TRY(const DomId id, find_guest(guests_, change.guest));
  const Guest& guest = guests_.at(id);
  const auto before = changed_.find(guest.sight.uuid);
  GuestRule rule = change.reset || before == changed_.end() ? GuestRule{} : before->second;
  rule.overlay(change.rule);
  GuestRule whole = world_.rule_for({guest.sight.uuid, id, guest.sight.name});
  whole.overlay(rule);
  if (whole.min_bytes && whole.max_bytes && *whole.min_bytes > *whole.max_bytes)
    return fail(Errc::kMalformed, "the minimum would be above the maximum, " +
                                      format_size(*whole.max_bytes) + ": change both");
  if (rule.empty())
    changed_.erase(guest.sight.uuid);
  else
    changed_[guest.sight.uuid] = rule;
  return {};
}

View Arbiter::look() const {
  View view;
  view.settings = settings_;
  view.mode = mode_;
  view.rival = rival_;
  view.strategy = loop().strategy();
  view.knob = loop().knob();
  view.period_ms = loop().period_ms();
  view.turns = turns_;
  view.blind = blind_;
  if (log_ != nullptr) view.log = log_->counters();
  view.last = loop_.last();
  view.guests = guests_;
  for (const auto& [id, guest] : guests_)
    view.counts[id] = {loop_.report_counters(policy_id(id)), watches_.counters(id)};
  for (const auto& [uuid, rule] : changed_) view.changed.insert(uuid);
  return view;
}

std::string Arbiter::title(const Guest& guest) const {
  return "guest " + std::to_string(static_cast<unsigned>(guest.sight.id)) + " (" +
         guest.sight.name + ")";
}

}  // namespace tmem::arbiter
