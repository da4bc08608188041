// SPDX-License-Identifier: GPL-2.0-or-later
// docs/control.md, `policy` and `why`.
#include "tmemd/arbiter/view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tmem/text.hpp"
#include "tmemd/arbiter/records.h"

namespace tmem::arbiter {
namespace {

using nlohmann::json;

json settings_json(const policy::GuestSettings& settings) {
  return {{"min_bytes", settings.min_bytes},
          {"max_bytes", settings.max_bytes},
          {"weight", settings.weight},
          {"priority", settings.priority}};
}

json host_json(const policy::HostView& host) {
  return {{"total_bytes", host.total_bytes},
          {"free_bytes", host.free_bytes},
          {"claims_bytes", host.claims_bytes},
          {"head_room_bytes", host.head_room_bytes},
          {"pool_held_bytes", host.pool_held_bytes},
          {"pool_freeable_bytes", host.pool_freeable_bytes},
          {"for_guests_bytes", policy::capacity_bytes(host)}};
}

json rates_json(const policy::Rates& rates) {
  return {{"some_ratio", rates.some_ratio},
          {"full_ratio", rates.full_ratio},
          {"refault_pages_per_s", rates.refault_pages},
          {"swap_in_pages_per_s", rates.swap_in_pages},
          {"persistent_puts_per_s", rates.persistent_puts},
          {"persistent_gets_per_s", rates.persistent_gets},
          {"ephemeral_puts_per_s", rates.ephemeral_puts},
          {"ephemeral_hits_per_s", rates.ephemeral_hits}};
}

json sample_json(const policy::Sample& sample) {
  return {{"total_bytes", sample.total_bytes},
          {"free_bytes", sample.free_bytes},
          {"available_bytes", sample.available_bytes},
          {"cache_bytes", sample.cache_bytes},
          {"anon_bytes", sample.anon_bytes},
          {"committed_bytes", sample.committed_bytes},
          {"swap_used_bytes", sample.swap_used_bytes},
          {"has_pressure", sample.pressure.has_value()},
          {"urgent", sample.urgent},
          {"balloons_itself", sample.balloons_itself}};
}

json optional_json(const std::optional<uint64_t>& value) {
  return value ? json(*value) : json();
}

json report_json(const policy::GuestRecord& record, const policy::ReportCounters& counters,
                 const WatchCounters& watch) {
  const policy::Estimate& estimate = record.estimate;
  return {{"state", policy::name_of(estimate.report)},
          {"age_ms", estimate.sample ? json(estimate.sample_age_ms) : json()},
          {"complaint", record.complaint.empty() ? json() : json(record.complaint)},
          {"urgent", estimate.urgent},
          {"sample", estimate.sample ? sample_json(*estimate.sample) : json()},
          {"accepted", counters.accepted},
          {"malformed", counters.malformed},
          {"absurd", counters.absurd},
          {"stale", counters.stale},
          {"swings", counters.swings},
          {"events", watch.events},
          {"watch_dropped", watch.dropped}};
}

}  // namespace

json View::guest_json(const Guest& guest) const {
  return {{"domid", static_cast<unsigned>(guest.sight.id)},
          {"uuid", format_uuid(guest.sight.uuid)},
          {"name", guest.sight.name},
          {"mode", word_of(kGuestModeWords, guest.rule.mode.value_or(GuestMode::kHost))},
          {"settings", settings_json(guest.settings)},
          {"has_balloon", guest.sight.has_balloon},
          {"uncooperative", guest.progress.uncooperative()},
          {"over_bytes", guest.progress.over_bytes()},
          {"actual_bytes", guest.sight.actual_bytes},
          {"target_bytes", optional_json(guest.sight.target_bytes)}};
}

json View::describe(uint64_t now_ms) const {
  json all = json::array();
  for (const auto& [id, guest] : guests) {
    all.push_back(guest_json(guest));
    all.back()["changed"] = changed.contains(guest.sight.uuid);
  }
  json result = {{"mode", word_of(kModeWords, settings.mode)},
                 {"effective_mode", word_of(kModeWords, mode)},
                 {"rival", rival.empty() ? json() : json(rival)},
                 {"strategy", strategy},
                 {"knob", knob},
                 {"period_ms", period_ms},
                 {"ticks", turns},
                 {"holding", !blind.empty()},
                 {"holding_reason", blind.empty() ? json() : json(blind)},
                 {"host", turns != 0 ? host_json(last.host) : json()},
                 {"log", nullptr},
                 {"guests", std::move(all)}};
  if (turns != 0) result["age_ms"] = now_ms - std::min(now_ms, last.host.now_ms);
  if (log)
    result["log"] = {{"path", settings.log_path},           {"bytes", log->bytes},
                     {"max_bytes", settings.log_bytes_max}, {"rotations", log->rotations},
                     {"write_errors", log->write_errors},   {"lost_bytes", log->lost_bytes}};
  return result;
}

json View::why(const Guest& guest, uint64_t now_ms) const {
  const auto age = [now_ms](uint64_t then_ms) {
    return then_ms == 0 ? json() : json(now_ms - std::min(now_ms, then_ms));
  };
  json result = guest_json(guest);
  result.update(json{{"writer", name_of(guest.handover.owner())},
                     {"acknowledged", guest.handover.acknowledged()},
                     {"times_uncooperative", guest.progress.times_uncooperative()},
                     {"targets_written", guest.targets_written},
                     {"target_written_age_ms", age(guest.target_written_ms)},
                     {"write_errors", guest.write_errors},
                     {"since_ms", age(guest.since_ms)}});
  if (guest.ceiling_kib != 0)
    result["told_agent"] = {{"min_bytes", guest.floor_kib * kKiB},
                            {"max_bytes", guest.ceiling_kib * kKiB}};
  const policy::GuestRecord* const record = record_of(last, policy_id(guest.sight.id));
  if (record == nullptr) return result;
  const policy::PoolUse& pool = record->input.facts.pool;
  const Counts& count = counts.at(guest.sight.id);
  result["report"] = report_json(*record, count.reports, count.watch);
  result["rates"] = rates_json(record->estimate.rates);
  result["pool"] = {{"persistent_pages", pool.persistent_pages},
                    {"ephemeral_pages", pool.ephemeral_pages},
                    {"charged_bytes", pool.charged_bytes}};
  result["wish_bytes"] = record->wish ? json(record->wish->target_bytes) : json();
  result["reason"] = record->wish ? json(record->wish->reason) : json();
  result["planned_bytes"] = record->bounded.target_bytes;
  result["bound"] = policy::name_of(record->bounded.bound);
  return result;
}

Result<json> View::why(const std::optional<std::string>& guest, uint64_t now_ms) const {
  json told = json::array();
  if (guest) {
    TMEM_TRY(const DomId id, find_guest(guests, *guest));
    told.push_back(why(guests.at(id), now_ms));
  } else {
    for (const auto& [id, one] : guests) told.push_back(why(one, now_ms));
  }
  return json{{"mode", word_of(kModeWords, settings.mode)},
              {"effective_mode", word_of(kModeWords, mode)},
              {"rival", rival.empty() ? json() : json(rival)},
              {"strategy", strategy},
              {"guests", std::move(told)}};
}

}  // namespace tmem::arbiter
