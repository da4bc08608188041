// SPDX-License-Identifier: GPL-2.0-or-later
// What the control socket tells of the policy: docs/control.md, `policy` and `why`.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "tmem/text.hpp"
#include "tmemd/arbiter/arbiter.h"

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
          {"events", watch.events},
          {"watch_dropped", watch.dropped}};
}

}  // namespace

json Arbiter::describe(uint64_t now_ms) const {
  json guests = json::array();
  for (const auto& [id, guest] : guests_) {
    const auto changed = changed_.find(guest.sight.uuid);
    guests.push_back(
        {{"domid", static_cast<unsigned>(id)},
         {"uuid", format_uuid(guest.sight.uuid)},
         {"name", guest.sight.name},
         {"mode", word_of(kGuestModeWords, guest.rule.mode.value_or(GuestMode::kHost))},
         {"changed", changed != changed_.end() && !changed->second.empty()},
         {"settings", settings_json(guest.settings)},
         {"has_balloon", guest.sight.has_balloon},
         {"uncooperative", guest.progress.stuck()},
         {"actual_bytes", guest.sight.actual_bytes},
         {"target_bytes", optional_json(guest.sight.target_bytes)}});
  }
  json result = {{"mode", word_of(kModeWords, settings_.mode)},
                 {"effective_mode", word_of(kModeWords, mode_)},
                 {"rival", rival_.empty() ? json() : json(rival_)},
                 {"strategy", loop_.strategy()},
                 {"knob", loop_.knob()},
                 {"period_ms", loop_.period_ms()},
                 {"ticks", turns_},
                 {"holding", blind_},
                 {"host", turns_ != 0 ? host_json(loop_.last().host) : json()},
                 {"log", nullptr},
                 {"guests", std::move(guests)}};
  if (turns_ != 0) result["age_ms"] = now_ms - std::min(now_ms, loop_.last().host.now_ms);
  if (log_ != nullptr) {
    const DecisionFile::Counters counters = log_->counters();
    result["log"] = {{"path", settings_.log_path},
                     {"bytes", counters.bytes},
                     {"max_bytes", settings_.log_bytes_max},
                     {"rotations", counters.rotations},
                     {"write_errors", counters.write_errors},
                     {"lost_bytes", counters.lost_bytes}};
  }
  return result;
}

json Arbiter::why(const Guest& guest, uint64_t now_ms) const {
  const auto age = [now_ms](uint64_t then_ms) {
    return then_ms == 0 ? json() : json(now_ms - std::min(now_ms, then_ms));
  };
  json result = {{"domid", static_cast<unsigned>(guest.sight.id)},
                 {"uuid", format_uuid(guest.sight.uuid)},
                 {"name", guest.sight.name},
                 {"mode", word_of(kGuestModeWords, guest.rule.mode.value_or(GuestMode::kHost))},
                 {"writer", name_of(guest.handover.owner())},
                 {"acknowledged", guest.handover.acknowledged()},
                 {"settings", settings_json(guest.settings)},
                 {"actual_bytes", guest.sight.actual_bytes},
                 {"target_bytes", optional_json(guest.sight.target_bytes)},
                 {"has_balloon", guest.sight.has_balloon},
                 {"uncooperative", guest.progress.stuck()},
                 {"times_uncooperative", guest.progress.times_stuck()},
                 {"targets_written", guest.targets_written},
                 {"target_written_age_ms", age(guest.target_written_ms)},
                 {"write_errors", guest.write_errors},
                 {"since_ms", age(guest.since_ms)}};
  if (guest.ceiling_kib != 0)
    result["told_agent"] = {{"min_bytes", guest.floor_kib * kKiB},
                            {"max_bytes", guest.ceiling_kib * kKiB}};
  const policy::GuestId id{static_cast<uint32_t>(guest.sight.id)};
  const auto& records = loop_.last().guests;
  const auto record =
      std::ranges::find(records, id, [](const policy::GuestRecord& g) { return g.input.facts.id; });
  if (record == records.end()) return result;
  const policy::PoolUse& pool = record->input.facts.pool;
  result["report"] =
      report_json(*record, loop_.report_counters(id), watches_.counters(guest.sight.id));
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

Result<json> Arbiter::why(const std::optional<std::string>& guest, uint64_t now_ms) const {
  json guests = json::array();
  if (guest) {
    TMEM_TRY(const DomId id, find(*guest));
    guests.push_back(why(guests_.at(id), now_ms));
  } else {
    for (const auto& [id, one] : guests_) guests.push_back(why(one, now_ms));
  }
  return json{{"mode", word_of(kModeWords, settings_.mode)},
              {"effective_mode", word_of(kModeWords, mode_)},
              {"rival", rival_.empty() ? json() : json(rival_)},
              {"strategy", loop_.strategy()},
              {"guests", std::move(guests)}};
}

}  // namespace tmem::arbiter
