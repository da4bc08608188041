// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport_stats.h"

#include <nlohmann/json.hpp>
#include <string>

namespace tmem {
namespace {

using nlohmann::json;

json totals_json(const transport::QueueTotals& totals) {
  json statuses = json::object();
  for (size_t i = 0; i < totals.statuses.size(); ++i)
    statuses[std::string(store::to_string(static_cast<store::Status>(i)))] = totals.statuses[i];
  json refusals = json::object();
  for (size_t i = 0; i < totals.refusals.size(); ++i)
    refusals[std::string(transport::to_string(static_cast<transport::Refusal>(i)))] =
        totals.refusals[i];
  return {{"requests", totals.requests},
          {"turns", totals.turns},
          {"notifications_sent", totals.notifications},
          {"notifications_received", totals.events},
          {"notifications_empty", totals.empty_events},
          {"statuses", statuses},
          {"bad_requests", refusals}};
}

json connection_json(const transport::ConnectionInfo& info) {
  return {{"client", info.client},
          {"name", info.name},
          {"pid", info.peer.pid},
          {"uid", info.peer.uid},
          {"gid", info.peer.gid},
          {"queues", info.queues},
          {"slots_per_queue", info.slots},
          {"memory_bytes", info.memory_bytes},
          {"ring", totals_json(info.totals)}};
}

}  // namespace

json transport_stats(const transport::LoopbackServer& loopback, const transport::Workers& workers) {
  const transport::LoopbackCounters counters = loopback.counters();
  const auto misbehaved = [&counters](transport::CloseReason reason) {
    return counters.misbehaved[static_cast<size_t>(reason)];
  };
  json result = {
      {"workers", workers.threads()},
      {"workers_cpu_ms", workers.cpu_ns() / 1'000'000},
      {"accepted", counters.accepted},
      {"connected", counters.connected},
      {"handshakes_refused", counters.handshakes_refused},
      {"handshakes_late", counters.handshakes_late},
      {"turned_away", counters.turned_away},
      {"closed_protocol_error", counters.protocol_errors},
      {"closed_administrator", counters.administrator},
      {"closed_request_overflow", misbehaved(transport::CloseReason::kRequestOverflow)},
      {"closed_response_rewound", misbehaved(transport::CloseReason::kResponseRewound)},
      {"closed_bad_requests", misbehaved(transport::CloseReason::kTooManyBad)},
      {"closed_event_storm", misbehaved(transport::CloseReason::kEventStorm)},
      {"ring", totals_json(counters.totals)},
      {"connections", json::array()},
  };
  for (const auto& info : loopback.connections())
    result["connections"].push_back(connection_json(info));
  return result;
}

}  // namespace tmem
