// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/counters.h"

namespace tmem::transport {

std::string_view to_string(CloseReason reason) {
  static constexpr std::array<std::string_view, static_cast<size_t>(CloseReason::kCount)> kNames = {
      "open",
      "the request counter ran ahead of the ring",
      "the response counter was changed by the client",
      "too many bad requests",
      "too many notifications without a request",
      "detached",
  };
  const auto index = static_cast<size_t>(reason);
  return index < kNames.size() ? kNames[index] : "?";
}

QueueTotals& QueueTotals::operator+=(const QueueCounters& queue) {
  requests += queue.requests.get();
  turns += queue.turns.get();
  notifications += queue.notifications.get();
  events += queue.events.get();
  empty_events += queue.empty_events.get();
  unasked_events += queue.unasked_events.get();
  for (size_t i = 0; i < kStatuses; ++i) statuses[i] += queue.statuses[i].get();
  for (size_t i = 0; i < kRefusals; ++i) refusals[i] += queue.refusals[i].get();
  return *this;
}

QueueTotals& QueueTotals::operator+=(const QueueTotals& other) {
  requests += other.requests;
  turns += other.turns;
  notifications += other.notifications;
  events += other.events;
  empty_events += other.empty_events;
  unasked_events += other.unasked_events;
  for (size_t i = 0; i < kStatuses; ++i) statuses[i] += other.statuses[i];
  for (size_t i = 0; i < kRefusals; ++i) refusals[i] += other.refusals[i];
  return *this;
}

}  // namespace tmem::transport
