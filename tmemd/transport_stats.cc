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
          {"notifications_unasked", totals.unasked_events},
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

json misbehaved_json(
    json result,
    const std::array<uint64_t, static_cast<size_t>(transport::CloseReason::kCount)>& counters) {
  using transport::CloseReason;
  const auto count = [&counters](CloseReason reason) {
    return counters.at(static_cast<size_t>(reason));
  };
  result["closed_request_overflow"] = count(CloseReason::kRequestOverflow);
  result["closed_response_rewound"] = count(CloseReason::kResponseRewound);
  result["closed_bad_requests"] = count(CloseReason::kTooManyBad);
  result["closed_event_storm"] = count(CloseReason::kEventStorm);
  return result;
}

json guest_json(const transport::xen::GuestInfo& guest) {
  return {{"kind", "xen"},
          {"state", guest.state},
          {"domid", static_cast<uint16_t>(guest.domain)},
          {"name", guest.name},
          {"client", guest.client != 0 ? json(guest.client) : json()},
          {"queues", guest.queues},
          {"slots_per_queue", guest.slots},
          {"memory_bytes", guest.memory_bytes},
          {"evacuating", guest.evacuating},
          {"can_migrate", guest.can_migrate},
          {"evacuate_error", guest.evacuate_error},
          {"write_back_kib_s", guest.write_back_kib_s},
          {"ring", totals_json(guest.totals)}};
}

json xen_json(const transport::xen::XenServer& xen) {
  const transport::xen::XenCounters counters = xen.counters();
  json result = {
      {"guests_seen", counters.guests_seen},  {"connected", counters.connected},
      {"taken_over", counters.taken_over},    {"take_overs_lost", counters.take_overs_lost},
      {"refused", counters.refused},          {"closed_by_guest", counters.hung_up},
      {"closed_guest_died", counters.died},   {"closed_administrator", counters.administrator},
      {"ring", totals_json(counters.totals)}, {"guests", json::array()}};
  for (const transport::xen::GuestInfo& guest : xen.guests())
    result["guests"].push_back(guest_json(guest));
  return misbehaved_json(std::move(result), counters.misbehaved);
}

}  // namespace

json transport_stats(const transport::LoopbackServer& loopback, const transport::Workers& workers,
                     const transport::xen::XenServer* xen) {
  const transport::LoopbackCounters counters = loopback.counters();
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
      {"ring", totals_json(counters.totals)},
      {"connections", json::array()},
  };
  for (const auto& info : loopback.connections())
    result["connections"].push_back(connection_json(info));
  if (xen != nullptr) result["xen"] = xen_json(*xen);
  return misbehaved_json(std::move(result), counters.misbehaved);
}

std::map<uint32_t, json> client_transports(const transport::LoopbackServer& loopback,
                                           const transport::xen::XenServer* xen) {
  std::map<uint32_t, json> transports;
  for (const auto& info : loopback.connections())
    transports[info.client] = {
        {"kind", "loopback"}, {"state", "connected"}, {"pid", info.peer.pid}};
  if (xen == nullptr) return transports;
  for (const transport::xen::GuestInfo& guest : xen->guests())
    if (guest.client != 0) transports[guest.client] = guest_json(guest);
  return transports;
}

}  // namespace tmem
